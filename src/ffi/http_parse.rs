//! HTTP messages: parsing, variables, credentials, multipart.
