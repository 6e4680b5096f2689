"""Live transcription, shared by all live APIs: turn detection, the buffer of recent audio, and transcripts of utterances in progress."""
