"""Audio -> text: speech detection, windows, transcription, diarization, subtitles; and the same while somebody still speaks."""
