"""Text before it is spoken: clean-up, normalization, SSML, pronunciation, and the chunks that are synthesized. Pure."""
