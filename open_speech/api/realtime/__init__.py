"""The OpenAI Realtime API over WebSocket: a session as a state machine without I/O, and its driver."""
