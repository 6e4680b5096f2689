"""The client of the language model that answers in a conversation, and the parsing of its stream."""
