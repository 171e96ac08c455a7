//! Closing rules for draining and half-closed connections, as a pure function of their state.

use super::engine::Reason;
use super::shutdown::DrainTimeouts;

/// State of a connection that the application drains (`is_draining`) or whose peer has closed its sending side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrainInputs {
    pub(crate) draining: bool,
    pub(crate) eof: bool,
    /// A handler further up the stack is polling: some received data waits for it to return.
    pub(crate) unhandled: bool,
    /// Bytes are waiting to be sent.
    pub(crate) pending: bool,
    /// A request was dispatched and its response is incomplete (`is_resp`).
    pub(crate) responding: bool,
    /// The library itself produces the response, so its end is known.
    pub(crate) streaming: bool,
    pub(crate) since: u64,
    pub(crate) progress_at: u64,
    pub(crate) queued_at: u64,
    pub(crate) now: u64,
    /// How long to wait for a response after the peer's end of stream.
    pub(crate) half_close_ms: u64,
    pub(crate) terms: DrainTimeouts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DrainAction {
    /// Neither draining nor half-closed.
    Live,
    /// Look again at this time at the latest.
    Wait(u64),
    Close(Reason),
}

pub(crate) fn next_action(v: DrainInputs) -> DrainAction {
    if !v.draining && !v.eof {
        return DrainAction::Live;
    }
    let until = |at: u64, reason| if v.now >= at { DrainAction::Close(reason) } else { DrainAction::Wait(at) };
    let last_move = v.progress_at.max(v.since);
    if v.pending {
        return until(last_move.saturating_add(v.terms.flush_ms), Reason::FlushTimeout);
    }
    if v.streaming {
        return until(last_move.saturating_add(v.terms.response_ms), Reason::ResponseTimeout);
    }
    if v.draining {
        return DrainAction::Close(Reason::Drained);
    }
    if v.responding || v.unhandled {
        // A half-close and a close look the same.
        return until(v.queued_at.max(v.since).saturating_add(v.half_close_ms), Reason::PeerClosed);
    }
    DrainAction::Close(Reason::PeerClosed)
}

#[cfg(test)]
mod tests {
    use super::super::shutdown::{FLUSH_MS, HALF_CLOSE_MS};
    use super::*;

    const IDLE: DrainInputs = DrainInputs {
        draining: false,
        eof: false,
        unhandled: false,
        pending: false,
        responding: false,
        streaming: false,
        since: 1000,
        progress_at: 0,
        queued_at: 0,
        now: 1000,
        half_close_ms: HALF_CLOSE_MS,
        terms: DrainTimeouts::DEFAULT,
    };

    #[test]
    fn a_live_connection_stays_open() {
        assert_eq!(next_action(DrainInputs { pending: true, responding: true, ..IDLE }), DrainAction::Live);
    }

    #[test]
    fn a_drain_with_nothing_to_send_closes_at_once() {
        assert_eq!(next_action(DrainInputs { draining: true, ..IDLE }), DrainAction::Close(Reason::Drained));
    }

    #[test]
    fn pending_output_keeps_the_connection_while_it_progresses() {
        let v = DrainInputs { draining: true, pending: true, ..IDLE };
        assert_eq!(next_action(v), DrainAction::Wait(1000 + FLUSH_MS));
        assert_eq!(next_action(DrainInputs { progress_at: 50_000, now: 60_000, ..v }), DrainAction::Wait(50_000 + FLUSH_MS));
        assert_eq!(next_action(DrainInputs { now: 1000 + FLUSH_MS, ..v }), DrainAction::Close(Reason::FlushTimeout));
    }

    #[test]
    fn an_unstarted_response_is_awaited_only_after_a_half_close() {
        let v = DrainInputs { responding: true, ..IDLE };
        assert_eq!(next_action(DrainInputs { draining: true, ..v }), DrainAction::Close(Reason::Drained));
        assert_eq!(next_action(DrainInputs { eof: true, ..v }), DrainAction::Wait(1000 + HALF_CLOSE_MS));
        assert_eq!(
            next_action(DrainInputs { eof: true, now: 1000 + HALF_CLOSE_MS, ..v }),
            DrainAction::Close(Reason::PeerClosed)
        );
        assert_eq!(next_action(DrainInputs { eof: true, half_close_ms: 0, ..v }), DrainAction::Close(Reason::PeerClosed));
        assert_eq!(next_action(DrainInputs { eof: true, draining: true, ..v }), DrainAction::Close(Reason::Drained));
    }

    #[test]
    fn a_file_is_pending_until_its_last_byte() {
        let v = DrainInputs { draining: true, responding: true, streaming: true, ..IDLE };
        assert!(matches!(next_action(v), DrainAction::Wait(_)));
    }

    #[test]
    fn half_close_with_nothing_pending_closes_at_once() {
        assert_eq!(next_action(DrainInputs { eof: true, ..IDLE }), DrainAction::Close(Reason::PeerClosed));
    }

    #[test]
    fn half_close_during_a_handler_waits_as_for_a_response() {
        let v = DrainInputs { eof: true, unhandled: true, ..IDLE };
        assert_eq!(next_action(v), DrainAction::Wait(1000 + HALF_CLOSE_MS));
        assert_eq!(next_action(DrainInputs { now: 1000 + HALF_CLOSE_MS, ..v }), DrainAction::Close(Reason::PeerClosed));
        assert_eq!(next_action(DrainInputs { draining: true, ..v }), DrainAction::Close(Reason::Drained));
    }

    #[test]
    fn half_close_during_a_stream_closes_when_the_stream_stalls() {
        let v = DrainInputs { eof: true, responding: true, queued_at: 3000, ..IDLE };
        assert_eq!(next_action(v), DrainAction::Wait(3000 + HALF_CLOSE_MS));
        assert_eq!(next_action(DrainInputs { now: 8000, ..v }), DrainAction::Close(Reason::PeerClosed));
    }
}
