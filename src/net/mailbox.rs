//! Messages from other threads and signal handlers, on their way to the polling thread.

use crate::platform::thread;
pub(crate) use crate::platform::waker::{Guarded, LIMIT};
use crate::platform::waker::{Pages, Waker};
use core::ffi::c_int;
use std::collections::VecDeque;

pub(crate) struct Wakeup {
    waker: Waker,
    queue: Guarded<Pages>,
}

/// What waits for a connection.
pub(crate) struct Message {
    pub(crate) id: u64,
    /// First byte of a WebSocket frame that is to be made of the text, or 0.
    pub(crate) frame: u8,
    pub(crate) text: Vec<u8>,
}

impl Wakeup {
    pub(crate) fn new() -> Option<Wakeup> {
        Waker::new().map(|waker| Wakeup { waker, queue: Guarded::new(Pages::EMPTY) })
    }

    pub(crate) fn fd(&self) -> c_int {
        self.waker.fd()
    }

    /// In a child process: the same descriptor number, but no longer the parent's eventfd.
    pub(crate) fn renew(&self) -> bool {
        self.waker.renew()
    }

    fn mail<R>(&self, f: impl FnOnce(&mut Pages) -> R) -> R {
        self.queue.with(|queue| {
            let process = thread::current_generation().wrapping_add(1);
            if queue.process != process {
                // The parent's mail, perhaps in the middle of a change.
                *queue = Pages::of(process);
            }
            f(queue)
        })
    }

    /// From any thread or signal handler. False when too much is waiting already.
    pub(crate) fn send(&self, id: u64, frame: u8, message: &[u8]) -> bool {
        let mut head = [0; 13];
        head[..8].copy_from_slice(&id.to_ne_bytes());
        head[8..12].copy_from_slice(&(message.len() as u32).to_ne_bytes());
        head[12] = frame;
        let ok = self.mail(|q| q.push([&head, message]));
        self.wake();
        ok
    }

    /// Ends the wait of the thread that polls. From any thread or signal handler. False when the descriptor is broken.
    pub(crate) fn wake(&self) -> bool {
        self.waker.wake()
    }

    /// Everything that waits, oldest first.
    pub(crate) fn receive(&self) -> VecDeque<Message> {
        self.waker.reset();
        let mut pages = self.mail(|q| core::mem::replace(q, Pages::EMPTY));
        let mut messages = VecDeque::new();
        let mut rest = pages.bytes();
        while let Some((head, tail)) = rest.split_first_chunk::<13>() {
            let mut id = [0; 8];
            id.copy_from_slice(&head[..8]);
            let n = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let (message, tail) = tail.split_at(n.min(tail.len()));
            messages.push_back(Message { id: u64::from_ne_bytes(id), frame: head[12], text: message.to_vec() });
            rest = tail;
        }
        pages.unmap();
        messages
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        self.mail(|q| core::mem::replace(q, Pages::EMPTY)).unmap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_several_threads_keep_their_order_and_none_is_lost() {
        let w = Wakeup::new().unwrap();
        let mut got = Vec::new();
        std::thread::scope(|s| {
            for id in 1..=4u64 {
                let w = &w;
                s.spawn(move || (0..1000u32).for_each(|n| assert!(w.send(id, 0, &[&n.to_ne_bytes()[..], &[7; 100]].concat()))));
            }
            while got.len() < 4000 {
                got.extend(w.receive());
            }
        });
        for id in 1..=4 {
            let numbers: Vec<u32> = got
                .iter()
                .filter(|m: &&Message| m.id == id)
                .map(|m| u32::from_ne_bytes(m.text[..4].try_into().unwrap()))
                .collect();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sender_is_refused_when_too_much_waits() {
        let w = Wakeup::new().unwrap();
        let big = vec![0; 16000];
        let sent = (0..10_000).take_while(|_| w.send(1, 0, &big)).count();
        assert!(sent > 4000 && sent < 4300, "{sent}");
        assert_eq!(w.receive().len(), sent);
        assert!(w.send(1, 0, b"again"));
    }
}
