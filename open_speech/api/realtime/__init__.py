"""The OpenAI Realtime API over WebSocket: a session as a machine without I/O, and a thin driver."""
