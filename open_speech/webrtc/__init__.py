"""WebRTC peers: offers and answers, ICE, audio in both directions and a data channel. Independent of the APIs that use them."""
