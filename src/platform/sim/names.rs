//! There are no host name files here.

use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Names;

impl Names {
    pub(crate) fn hosts(&self) -> Rc<[u8]> {
        Rc::from(*b"127.0.0.1 localhost\n")
    }

    pub(crate) fn conf(&self) -> Rc<[u8]> {
        Rc::from(*b"")
    }
}
