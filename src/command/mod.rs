//! The command table, and the way from arguments to requests and from replies to RESP.
