//! HTTP connections and replies.
