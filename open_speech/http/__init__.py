"""Code shared by HTTP and WebSocket routes: errors, uploads, JSON within limits, server-sent events, TLS, middleware."""
