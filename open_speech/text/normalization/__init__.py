"""Text normalization: written form -> spoken form. Pure, no model."""
