"""OpenAI's Live API: one full-duplex session on one clock, over WebSocket or WebRTC."""
