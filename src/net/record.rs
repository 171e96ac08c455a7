//! Reusable records. One definition yields the struct, its initial state and the reset to it, so that no member can be forgotten
//! when a record is reused for the next connection.

use crate::memory::prelude::*;
use core::cell::{Cell, OnceCell, RefCell};
use core::ops::Deref;

/// A member that can be reset to its initial state.
pub(crate) trait Reset {
    fn reset(&self);
}

impl<T: Default> Reset for Cell<T> {
    #[inline]
    fn reset(&self) {
        self.take();
    }
}

impl<T: Default> Reset for RefCell<T> {
    #[inline]
    fn reset(&self) {
        self.take();
    }
}

/// State that few connections need: allocated on first use. A reset keeps the allocation, so references to it stay valid as long as
/// the record.
#[derive(Default)]
pub(crate) struct Lazy<T>(OnceCell<Box<T>>);

impl<T: Default> Deref for Lazy<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.get_or_init(Box::default)
    }
}

impl<T: Reset> Reset for Lazy<T> {
    #[inline]
    fn reset(&self) {
        if let Some(state) = self.0.get() {
            state.reset();
        }
    }
}

/// An optional time in the space of a time; the largest value means none.
pub(crate) struct Moment(Cell<u64>);

impl Moment {
    const NONE: u64 = u64::MAX;

    #[inline]
    pub(crate) fn get(&self) -> Option<u64> {
        Some(self.0.get()).filter(|at| *at != Moment::NONE)
    }

    #[inline]
    pub(crate) fn set(&self, at: Option<u64>) {
        self.0.set(at.unwrap_or(Moment::NONE));
    }

    #[inline]
    pub(crate) fn replace(&self, at: Option<u64>) -> Option<u64> {
        let before = self.get();
        self.set(at);
        before
    }
}

impl Default for Moment {
    fn default() -> Moment {
        Moment(Cell::new(Moment::NONE))
    }
}

impl Reset for Moment {
    #[inline]
    fn reset(&self) {
        self.set(None);
    }
}

/// Defines a struct of cells with `Default` and [`Reset`]. The initial value of a member is its type's default, or the expression
/// after `=`; a reset does not touch members marked `@keep`.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $(@$keep:ident)? $field:ident: $t:ty $(= $fresh:expr)?,)*
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* pub(crate) $field: $t,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: record!(@fresh $($fresh)?),)* }
            }
        }

        impl $crate::net::record::Reset for $name {
            fn reset(&self) {
                let $name { $($field,)* } = self;
                $(record!(@reset $field [$($keep)?] $($fresh)?);)*
            }
        }

        #[cfg(test)]
        impl $crate::net::record::probe::Probe for $name {
            fn dirty(&self) {
                let $name { $($field,)* } = self;
                $($crate::net::record::probe::Probe::dirty($field);)*
            }

            fn stale(&self, fresh: &$name, stale: &mut Vec<&'static str>) {
                $(record!(@stale self fresh stale $field [$($keep)?]);)*
            }
        }
    };
    (@fresh) => { Default::default() };
    (@fresh $fresh:expr) => { core::cell::Cell::new($fresh) };
    (@reset $field:ident [$($keep:ident)?] $fresh:expr) => { $field.set($fresh) };
    (@reset $field:ident [keep]) => { let _ = $field; };
    (@reset $field:ident []) => { $crate::net::record::Reset::reset($field) };
    (@stale $self:ident $fresh:ident $stale:ident $field:ident [keep]) => {};
    (@stale $self:ident $fresh:ident $stale:ident $field:ident []) => {
        let before = $stale.len();
        $crate::net::record::probe::Probe::stale(&$self.$field, &$fresh.$field, $stale);
        if $stale.len() > before {
            $stale.push(stringify!($field));
        }
    };
}
pub(crate) use record;

/// Makes members differ from fresh ones, and finds those that do.
#[cfg(test)]
pub(crate) mod probe {
    use super::*;

    pub(crate) trait Probe {
        fn dirty(&self);
        fn stale(&self, fresh: &Self, stale: &mut Vec<&'static str>);
    }

    impl<T: Default + Probe> Probe for Lazy<T> {
        fn dirty(&self) {
            T::dirty(self);
        }

        fn stale(&self, _fresh: &Self, stale: &mut Vec<&'static str>) {
            T::stale(self, &T::default(), stale);
        }
    }

    impl Probe for Moment {
        fn dirty(&self) {
            self.set(Some(7));
        }

        fn stale(&self, fresh: &Self, stale: &mut Vec<&'static str>) {
            if self.get() != fresh.get() {
                stale.push("");
            }
        }
    }

    /// A value other than the initial one, and a comparison.
    pub(crate) trait Sample: Sized {
        fn sample() -> Option<Self>;
        fn is_like(&self, other: &Self) -> bool;
    }

    impl<T: Sample> Probe for Cell<T> {
        fn dirty(&self) {
            if let Some(sample) = T::sample() {
                self.set(sample);
            }
        }

        fn stale(&self, fresh: &Self, stale: &mut Vec<&'static str>) {
            // SAFETY: nothing else uses the cells during this.
            if !unsafe { (*self.as_ptr()).is_like(&*fresh.as_ptr()) } {
                stale.push("");
            }
        }
    }

    impl<T: Sample> Probe for RefCell<T> {
        fn dirty(&self) {
            if let Some(sample) = T::sample() {
                self.replace(sample);
            }
        }

        fn stale(&self, fresh: &Self, stale: &mut Vec<&'static str>) {
            if !self.borrow().is_like(&fresh.borrow()) {
                stale.push("");
            }
        }
    }

    impl<T> Sample for *mut T {
        fn sample() -> Option<Self> {
            Some(core::ptr::dangling_mut())
        }
        fn is_like(&self, other: &Self) -> bool {
            self == other
        }
    }

    impl<T> Sample for Option<Box<T>>
    where
        T: ?Sized,
        Box<T>: Boxed,
    {
        fn sample() -> Option<Self> {
            <Box<T> as Boxed>::boxed().map(Some)
        }
        fn is_like(&self, other: &Self) -> bool {
            self.is_some() == other.is_some()
        }
    }

    /// Boxes that a test can make; None for those that take a file or a socket.
    pub(crate) trait Boxed: Sized {
        fn boxed() -> Option<Self> {
            None
        }
    }

    macro_rules! samples {
        ($($t:ty = $value:expr;)*) => {
            $(impl Sample for $t {
                fn sample() -> Option<Self> {
                    Some($value)
                }
                fn is_like(&self, other: &Self) -> bool {
                    self == other
                }
            })*
        };
    }
    pub(crate) use samples;
}
