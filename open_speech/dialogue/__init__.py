"""The language model that answers in a conversation, and what is made of its stream."""
