"""Text -> audio: the plan of a speech, its pipeline, prosody, postprocessing, cache and captions."""
