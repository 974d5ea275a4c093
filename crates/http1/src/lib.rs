//! HTTP/1.1 messages as a pure codec: heads, framing, chunks, keep-alive, strictness; bytes in, events out.
