//! Messages from other threads and signal handlers, on their way to the polling thread.

use crate::platform::thread;
pub(crate) use crate::platform::waker::{Guarded, LIMIT};
use crate::platform::waker::{Pages, Waker};
use core::ffi::c_int;

pub(crate) struct Wakeup {
    waker: Waker,
    queue: Guarded<Pages>,
}

/// A message to a connection.
pub(crate) struct Message<'a> {
    pub(crate) id: u64,
    /// First byte of the WebSocket frame to create from the text, or 0.
    pub(crate) frame: u8,
    pub(crate) text: &'a mut [u8],
}

/// Received messages in the senders' pages: not copied, so they cannot be lost when memory is short.
pub(crate) struct Mail {
    pages: Pages,
    at: usize,
}

impl Mail {
    /// The oldest remaining message.
    pub(crate) fn next(&mut self) -> Option<Message<'_>> {
        let rest = self.pages.bytes_mut().get_mut(self.at..)?;
        let (head, tail) = rest.split_first_chunk_mut::<13>()?;
        let mut id = [0; 8];
        id.copy_from_slice(&head[..8]);
        let n = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let n = n.min(tail.len());
        self.at += 13 + n;
        Some(Message { id: u64::from_ne_bytes(id), frame: head[12], text: &mut tail[..n] })
    }

    /// Whether more than `n` messages wait.
    pub(crate) fn is_more_than(&mut self, n: usize) -> bool {
        let at = self.at;
        let more = (0..=n).all(|_| self.next().is_some());
        self.at = at;
        more
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.pages.unmap();
    }
}

impl Wakeup {
    pub(crate) fn new() -> Option<Wakeup> {
        Waker::new().map(|waker| Wakeup { waker, queue: Guarded::new(Pages::EMPTY) })
    }

    pub(crate) fn fd(&self) -> c_int {
        self.waker.fd()
    }

    /// In a child process: replaces the parent's eventfd under the same descriptor number.
    pub(crate) fn renew(&self) -> bool {
        self.waker.renew()
    }

    fn mail<R>(&self, f: impl FnOnce(&mut Pages) -> R) -> R {
        self.queue.with(|queue| {
            let process = thread::current_generation().wrapping_add(1);
            if queue.process != process {
                // The parent's messages, possibly in the middle of a change.
                *queue = Pages::of(process);
            }
            f(queue)
        })
    }

    /// Queues a message. Any thread and signal handlers may call it. False if too much is waiting.
    pub(crate) fn send(&self, id: u64, frame: u8, message: &[u8]) -> bool {
        let mut head = [0; 13];
        head[..8].copy_from_slice(&id.to_ne_bytes());
        head[8..12].copy_from_slice(&(message.len() as u32).to_ne_bytes());
        head[12] = frame;
        let ok = self.mail(|q| q.push([&head, message]));
        self.wake();
        ok
    }

    /// Ends the wait of the polling thread. Any thread and signal handlers may call it. False if the descriptor is broken.
    pub(crate) fn wake(&self) -> bool {
        self.waker.wake()
    }

    /// Everything that waits, oldest first.
    pub(crate) fn receive(&self) -> Mail {
        self.waker.reset();
        Mail { pages: self.mail(|q| core::mem::replace(q, Pages::EMPTY)), at: 0 }
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
    fn messages_of_several_threads_stay_in_order_and_complete() {
        let w = Wakeup::new().unwrap();
        let mut got = Vec::new();
        std::thread::scope(|s| {
            for id in 1..=4u64 {
                let w = &w;
                s.spawn(move || (0..1000u32).for_each(|n| assert!(w.send(id, 0, &[&n.to_ne_bytes()[..], &[7; 100]].concat()))));
            }
            while got.len() < 4000 {
                let mut mail = w.receive();
                while let Some(m) = mail.next() {
                    got.push((m.id, u32::from_ne_bytes(m.text[..4].try_into().unwrap())));
                }
            }
        });
        for id in 1..=4 {
            let numbers: Vec<u32> = got.iter().filter(|(to, _)| *to == id).map(|(_, number)| *number).collect();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn senders_are_refused_when_the_queue_is_full() {
        let w = Wakeup::new().unwrap();
        let big = vec![0; 16000];
        let sent = (0..10_000).take_while(|_| w.send(1, 0, &big)).count();
        assert!(sent > 4000 && sent < 4300, "{sent}");
        let mut mail = w.receive();
        assert!(mail.is_more_than(sent - 1) && !mail.is_more_than(sent));
        assert_eq!(core::iter::from_fn(|| mail.next().map(|_| ())).count(), sent);
        assert!(w.send(1, 0, b"again"));
    }
}
