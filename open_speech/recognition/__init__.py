"""Audio -> text: speech detection, windows, transcription, diarization, subtitles, and live transcription (live/)."""
