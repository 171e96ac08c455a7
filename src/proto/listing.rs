//! HTML directory listings.

use super::{escape::html_text, urlcodec};
use crate::memory;
use crate::memory::prelude::*;

const TOP: &[u8] = br##"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>"##;

const STYLE: &[u8] = br##"</title>
<style>
body { font: 1em/1.5 ui-monospace, monospace; margin: 2em auto; max-width: 60em; padding: 0 1em; color-scheme: light dark }
h1 { font-size: 1.3em; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { padding: .1em .8em; text-align: left }
th { border-bottom: 1px solid }
td + td, th + th { text-align: right; white-space: nowrap }
td:first-child { overflow-wrap: anywhere }
footer { margin-top: 1.5em; opacity: .6 }
</style></head>
<body>
<h1>"##;

const TABLE: &[u8] = br##"</h1>
<table><thead>
<tr><th><a href="#" rel="0">Name</a></th><th><a href="#" rel="1">Modified</a></th><th><a href="#" rel="2">Size</a></th></tr>
</thead><tbody id="tb">
"##;

const PARENT: &[u8] = br##"  <tr><td><a href="..">..</a></td><td name=-1></td><td name=-1>[DIR]</td></tr>
"##;

/// The fragment of the URL holds the sort column and direction. Directories come first, preceded by the parent directory.
const BOTTOM: &[u8] = br##"</tbody></table>
<footer>libmongoose-rs</footer>
<script>
(function () {
  var body = document.getElementById('tb');
  var wanted = /sc=([0-2])&so=(-?1)/.exec(location.hash);
  var column = wanted ? +wanted[1] : 0, order = wanted ? +wanted[2] : 1;
  function isDir(row) { return row.cells[2].textContent === '[DIR]'; }
  function key(row) {
    var name = row.cells[column].getAttribute('name');
    return name === null ? row.cells[column].textContent : +name;
  }
  function compare(a, b) {
    if (a.firstOfAll !== b.firstOfAll) return a.firstOfAll ? -1 : 1;
    if (isDir(a) !== isDir(b)) return isDir(a) ? -1 : 1;
    var x = key(a), y = key(b);
    return order * (typeof x === 'number' ? y - x : x.localeCompare(y));
  }
  function sort() {
    var rows = Array.prototype.slice.call(body.rows);
    rows.sort(compare).forEach(function (row) { body.appendChild(row); });
  }
  if (body.rows.length > 0) body.rows[0].firstOfAll = true;
  Array.prototype.forEach.call(body.rows, function (row) {
    var cell = row.cells[1], time = +cell.getAttribute('name');
    if (time > 0) cell.textContent = new Date(time * 1000).toLocaleString();
  });
  document.querySelectorAll('th a').forEach(function (a) {
    a.onclick = function (event) {
      event.preventDefault();
      order = column === +a.rel ? -order : 1;
      column = +a.rel;
      location.hash = 'sc=' + column + '&so=' + order;
      sort();
    };
  });
  sort();
})();
</script>
</body></html>
"##;

/// Most bytes that `html_text` makes of one.
const LONGEST: usize = 6;

/// A page being written. None, from its functions: out of memory.
pub(crate) struct Page(Vec<u8>);

impl Page {
    /// `uri` is decoded already.
    pub(crate) fn new(uri: &[u8]) -> Option<Page> {
        let mut title = memory::room(9 + LONGEST * uri.len())?;
        title.extend_from_slice(b"Index of ");
        html_text(&mut title, uri);
        memory::joined(&[TOP, &title, STYLE, &title, TABLE, PARENT]).map(Page)
    }

    /// One entry; a directory has no size.
    pub(crate) fn row(&mut self, name: &[u8], size: Option<u64>, mtime: i64) -> Option<()> {
        let out = &mut self.0;
        if !memory::grow(out, 256 + (3 + LONGEST) * name.len()) {
            return None;
        }
        let slash: &[u8] = if size.is_none() { b"/" } else { b"" };
        out.extend_from_slice(b"  <tr><td><a href=\"");
        let start = out.len();
        out.resize(start + 3 * name.len() + 5, 0);
        let n = urlcodec::encode(name, &mut out[start..]).unwrap_or(0);
        out.truncate(start + n);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"\">");
        html_text(out, name);
        out.extend_from_slice(slash);
        let rest = match size {
            Some(size) => format!("</a></td><td name={mtime}>{mtime}</td><td name={size}>{size}</td></tr>\n"),
            None => format!("</a></td><td name={mtime}>{mtime}</td><td name=-1>[DIR]</td></tr>\n"),
        };
        out.extend_from_slice(rest.as_bytes());
        Some(())
    }

    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        memory::append(&mut self.0, BOTTOM).then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(uri: &[u8], name: &[u8], size: Option<u64>) -> String {
        let mut page = Page::new(uri).unwrap();
        page.row(name, size, 17).unwrap();
        String::from_utf8_lossy(&page.finish().unwrap()).into_owned()
    }

    #[test]
    fn names_are_escaped() {
        let text = page(b"/a<b>&\"/", b"x&<y>\"'.txt", Some(5));
        assert!(
            text.contains("<title>Index of /a&lt;b&gt;&amp;&quot;/</title>")
                && text.contains(">Index of /a&lt;b&gt;&amp;&quot;/</h1>")
        );
        let row = "  <tr><td><a href=\"x%26%3cy%3e%22%27.txt\">x&amp;&lt;y&gt;&quot;'.txt</a></td><td name=17>17</td><td name=5>5</td></tr>\n";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn directories_have_a_slash_and_no_size() {
        let text = page(b"/", b"d", None);
        assert!(text.contains("<a href=\"d/\">d/</a></td><td name=17>17</td><td name=-1>[DIR]</td>"));
    }

    #[test]
    fn names_of_the_longest_kind_are_listed() {
        for (byte, link, text) in [("x", "x", "x"), ("\"", "%22", "&quot;")] {
            let row = format!("<a href=\"{}\">{}</a>", link.repeat(255), text.repeat(255));
            assert!(page(b"/", byte.repeat(255).as_bytes(), Some(5)).contains(&row), "{byte}");
        }
    }

    #[test]
    fn listings_load_no_external_resources() {
        let text = page(b"/", b"x", None);
        assert!(!text.contains("http") && !text.contains("src=") && !text.contains("url("));
    }

    proptest! {
        #[test]
        fn file_names_cannot_inject_markup(name in prop::collection::vec(any::<u8>(), 0..20)) {
            let count = |name: &[u8], byte| {
                let mut page = Page::new(b"/").unwrap();
                page.row(name, None, 0).unwrap();
                page.finish().unwrap().iter().filter(|b| **b == byte).count()
            };
            for byte in [b'<', b'>', b'"'] {
                prop_assert_eq!(count(&name, byte), count(b"", byte));
            }
        }
    }
}
