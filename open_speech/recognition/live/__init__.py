"""The live core that every live door shares: who speaks when, the sound so far, and the text of what is still being said."""
