//! What an operator looks at and does, while processes go on working with the streams.
