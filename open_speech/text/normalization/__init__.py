"""Text normalization: what is written for the eye -> the words that are spoken. Pure, no model."""
