"""What every HTTP and WebSocket route needs: errors, uploads, JSON within bounds, server-sent events, TLS, middleware."""
