//! Responses as parsed by a client, against httparse: if both accept one, they agree on it.

use crate::proto::http::head::{self, Reader};

fuzz_target!(|data: &[u8]| {
    let mut ours = Vec::new();
    let parsed = head::parse(data, Reader::Client, usize::MAX, |_, name, value| ours.push((name, value)));
    let mut headers = vec![httparse::EMPTY_HEADER; data.len() / 3 + 1];
    let mut response = httparse::Response::new(&mut headers);
    if let (Ok(Some(head)), Ok(httparse::Status::Complete(len))) = (parsed, response.parse(data)) {
        if !head.is_response() {
            return;
        }
        assert_eq!(head.len, len);
        assert_eq!(head.uri, format!("{:03}", response.code.unwrap_or_default()).as_bytes());
        let theirs: Vec<_> = response.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
        assert_eq!(ours, theirs);
    }
});
