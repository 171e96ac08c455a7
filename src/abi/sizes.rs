use super::*;

/// The sizes that an application chose when it was compiled. The defaults are those of the structs in this module. With a larger
/// MG_DATA_SIZE, `c->data` comes after the last member that the library knows, and with a larger MG_MAX_HTTP_HEADERS the headers do
/// the same in `struct mg_http_message`: nothing that the library uses moves. Smaller arrays are padded by the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes in a `struct mg_connection`.
    pub(crate) conn: usize,
    /// Where `data` is in it.
    pub(crate) data: usize,
    /// Number of headers in a `struct mg_http_message`.
    pub(crate) headers: usize,
}

impl Sizes {
    pub(crate) const USUAL: Sizes = Sizes {
        conn: size_of::<mg_connection>(),
        data: core::mem::offset_of!(mg_connection, data),
        headers: MG_MAX_HTTP_HEADERS,
    };

    /// None if no application can have these.
    pub(crate) fn new(conn: usize, data: usize, headers: usize) -> Option<Sizes> {
        let sizes = Sizes { conn, data, headers };
        let usual = Sizes { headers, ..Sizes::USUAL };
        let larger = data >= usual.conn && conn.checked_sub(data).is_some_and(|n| n > MG_DATA_SIZE);
        ((1..=MOST_HEADERS).contains(&headers) && (sizes == usual || larger)).then_some(sizes)
    }
}

/// As in include/preamble.h.
const MOST_HEADERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_header_gives_are_refused() {
        let Sizes { conn, data, .. } = Sizes::USUAL;
        for (sizes, taken) in [
            ((conn, data, 30), true),
            ((conn, data, 1), true),
            ((conn, data, 1000), true),
            ((conn + 80, conn + 16, 30), true),
            ((conn, data, 0), false),
            ((conn, data, usize::MAX), false),
            ((conn - 8, data, 30), false),
            ((conn, data - 8, 30), false),
            ((conn + 80, data, 30), false),
            ((conn + 16, conn + 16, 30), false),
            ((conn, conn + 16, 30), false),
        ] {
            assert_eq!(Sizes::new(sizes.0, sizes.1, sizes.2).is_some(), taken, "{sizes:?}");
        }
    }
}
