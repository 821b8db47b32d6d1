//! HTTP/2, server side, without sockets: bytes in, bytes out. The only place that knows nghttp2.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;

use libnghttp2_sys as ffi;

use self::callbacks::{Shared, key_of, new_session, read_data};
use crate::edge::limits::{CONNECTION_WINDOW, MAX_FRAME_BYTES, MAX_HEADER_LIST, STREAM_WINDOW};

mod callbacks;

/// The connection cannot go on: the peer broke the protocol, or there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub i32);

/// Header fields that a reply has at most.
const MOST_HEADERS: usize = 6;

/// A header field of a reply. Names are in lower case.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    name: &'static [u8],
    value: &'a [u8],
    flags: u8,
}

impl Header<'static> {
    /// A field that is always the same: neither side is copied, and the peer's table learns it.
    pub const fn fixed(name: &'static [u8], value: &'static [u8]) -> Self {
        let flags = ffi::NGHTTP2_NV_FLAG_NO_COPY_NAME | ffi::NGHTTP2_NV_FLAG_NO_COPY_VALUE;
        Self { name, value, flags: flags as u8 }
    }
}

impl<'a> Header<'a> {
    /// A field with a value of its own, which is copied and kept out of the peer's table.
    pub const fn once(name: &'static [u8], value: &'a [u8]) -> Self {
        let flags = ffi::NGHTTP2_NV_FLAG_NO_COPY_NAME | ffi::NGHTTP2_NV_FLAG_NO_INDEX;
        Self { name, value, flags: flags as u8 }
    }
}

/// What a stream has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing now; `Session::resume` says when.
    Later,
    /// So many bytes; the trailers follow if they are the last.
    Data {
        /// How many; at most as many as was asked for.
        bytes: usize,
        /// Whether the trailers follow.
        last: bool,
    },
}

/// Whoever knows the streams of a session. The methods are called while it reads and writes; none may panic, for
/// nothing can unwind through C: the process would be aborted.
///
/// A stream is named by a key that `opened` gives and `closed` takes back.
pub trait Streams {
    /// A request begins.
    fn opened(&mut self, stream: i32) -> usize;
    /// A header field of the request that was opened last.
    fn header(&mut self, name: &[u8], value: &[u8]);
    /// All header fields of the request were given.
    fn headers_ended(&mut self, key: usize);
    /// These bytes of what `Session::receive` was given belong to the stream.
    fn data(&mut self, key: usize, bytes: Range<usize>);
    /// The peer has sent everything.
    fn ended(&mut self, key: usize);
    /// The stream is gone; its key may be given out again once this call has returned.
    fn closed(&mut self, key: usize);
    /// What is next to send, in `most` bytes or less.
    fn next_data(&mut self, key: usize, most: usize) -> Next;
    /// Append what `next_data` promised.
    fn take_data(&mut self, key: usize, bytes: usize, to: &mut Vec<u8>);
    /// Give the trailers to `send`, once.
    fn trailers(&self, key: usize, send: &mut dyn FnMut(&[Header<'_>]));
}

/// One connection's state.
pub struct Session<S: Streams> {
    session: NonNull<ffi::nghttp2_session>,
    /// Allocated by a `Box`; nghttp2 holds the same pointer and hands it to the callbacks.
    shared: NonNull<Shared<S>>,
}

impl<S: Streams> Session<S> {
    /// A server's side of a new connection, which greets its peer.
    pub fn server(streams: S, max_streams: u32) -> Result<Self, Broken> {
        let shared = Shared::new(streams);
        let shared = NonNull::from(Box::leak(Box::new(shared)));
        // SAFETY: `shared` lives until the session is dropped, which deletes nghttp2's part first.
        let session = match unsafe { new_session::<S>(shared) } {
            Ok(session) => Self { session, shared },
            Err(broken) => {
                // SAFETY: nobody else got the pointer.
                drop(unsafe { Box::from_raw(shared.as_ptr()) });
                return Err(broken);
            }
        };
        session.greet(max_streams)?;
        Ok(session)
    }

    fn greet(&self, max_streams: u32) -> Result<(), Broken> {
        let entry = |id: ffi::nghttp2_settings_id, value| ffi::nghttp2_settings_entry {
            settings_id: id as i32,
            value,
        };
        let settings = [
            entry(ffi::NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, max_streams),
            entry(ffi::NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            entry(ffi::NGHTTP2_SETTINGS_MAX_FRAME_SIZE, MAX_FRAME_BYTES),
            entry(ffi::NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST as u32),
        ];
        let raw = self.session.as_ptr();
        // SAFETY: the session is valid; the settings are copied.
        check(unsafe { ffi::nghttp2_submit_settings(raw, 0, settings.as_ptr(), settings.len()) })?;
        // SAFETY: the session is valid; stream 0 is the connection.
        check(unsafe { ffi::nghttp2_session_set_local_window_size(raw, 0, 0, CONNECTION_WINDOW) })
    }

    /// Take in what the peer sent.
    pub fn receive(&mut self, input: &[u8]) -> Result<(), Broken> {
        // SAFETY: the pointer is valid, and no other reference to what it points to is alive.
        unsafe { self.shared.as_mut() }.input = input.as_ptr() as usize;
        // SAFETY: the session is valid, `input` is readable. The callbacks reach `shared` by the same pointer,
        // to which no reference is held here.
        let taken =
            unsafe { ffi::nghttp2_session_mem_recv2(self.session.as_ptr(), input.as_ptr(), input.len()) };
        // No callback pauses, so a result that is no error is the whole input.
        if taken < 0 { Err(Broken(taken as i32)) } else { Ok(()) }
    }

    /// Append what is to be sent to `output`, until it has `most` bytes or there is no more.
    pub fn send(&mut self, output: &mut Vec<u8>, most: usize) -> Result<(), Broken> {
        self.swap_output(output);
        // SAFETY: the pointer is valid, and no other reference to what it points to is alive.
        unsafe { self.shared.as_mut() }.most = most;
        let done = self.fill(most);
        self.swap_output(output);
        done
    }

    fn fill(&mut self, most: usize) -> Result<(), Broken> {
        loop {
            let mut start: *const u8 = ptr::null();
            // SAFETY: the session is valid. The callbacks reach `shared` by the same pointer, to which no
            // reference is held here.
            let length = unsafe { ffi::nghttp2_session_mem_send2(self.session.as_ptr(), &raw mut start) };
            if length < 0 {
                return Err(Broken(length as i32));
            }
            // SAFETY: the pointer is valid, and no other reference to what it points to is alive.
            let output = &mut unsafe { self.shared.as_mut() }.output;
            if length == 0 {
                return Ok(());
            }
            // SAFETY: nghttp2 gives so many bytes, valid until it is called again.
            output.extend_from_slice(unsafe { slice::from_raw_parts(start, length as usize) });
            if output.len() >= most {
                return Ok(());
            }
        }
    }

    /// The callbacks append DATA to the output of whoever sends, between the other frames.
    fn swap_output(&mut self, output: &mut Vec<u8>) {
        // SAFETY: the pointer is valid, and no other reference to what it points to is alive.
        std::mem::swap(&mut unsafe { self.shared.as_mut() }.output, output);
    }

    /// Begin the response of a stream; its DATA and trailers come from `Streams`.
    pub fn respond(&mut self, stream: i32, key: usize, headers: &[Header<'_>]) -> Result<(), Broken> {
        let source = ffi::nghttp2_data_source { ptr: key as *mut c_void };
        let data = ffi::nghttp2_data_provider2 { source, read_callback: Some(read_data::<S>) };
        let (fields, count) = fields(headers);
        let raw = self.session.as_ptr();
        // SAFETY: the session is valid; fields are copied, except what lives for ever, and so is `data`.
        check(unsafe { ffi::nghttp2_submit_response2(raw, stream, fields.as_ptr(), count, &raw const data) })
    }

    /// The whole response of a stream that has only header fields.
    pub fn respond_headers_only(&mut self, stream: i32, headers: &[Header<'_>]) -> Result<(), Broken> {
        let (fields, count) = fields(headers);
        let raw = self.session.as_ptr();
        // SAFETY: the session is valid; fields are copied, except what lives for ever.
        check(unsafe { ffi::nghttp2_submit_response2(raw, stream, fields.as_ptr(), count, ptr::null()) })
    }

    /// A stream that answered `Next::Later` has something to send.
    pub fn resume(&mut self, stream: i32) -> Result<(), Broken> {
        // SAFETY: the session is valid.
        match unsafe { ffi::nghttp2_session_resume_data(self.session.as_ptr(), stream) } {
            ffi::NGHTTP2_ERR_INVALID_ARGUMENT => Ok(()), // it is gone
            result => check(result),
        }
    }

    /// End a stream at once.
    pub fn reset(&mut self, stream: i32, reason: Reset) -> Result<(), Broken> {
        // SAFETY: the session is valid.
        check(unsafe { ffi::nghttp2_submit_rst_stream(self.session.as_ptr(), 0, stream, reason as u32) })
    }

    /// So many bytes that were read no longer count against the connection's window.
    pub fn give_back_connection(&mut self, bytes: usize) -> Result<(), Broken> {
        // SAFETY: the session is valid.
        check(unsafe { ffi::nghttp2_session_consume_connection(self.session.as_ptr(), bytes) })
    }

    /// So many bytes that were read no longer count against the stream's window.
    pub fn give_back_stream(&mut self, stream: i32, bytes: usize) -> Result<(), Broken> {
        // SAFETY: the session is valid.
        check(unsafe { ffi::nghttp2_session_consume_stream(self.session.as_ptr(), stream, bytes) })
    }

    /// Tell the peer that no more streams will be taken soon.
    pub fn announce_shutdown(&mut self) -> Result<(), Broken> {
        // SAFETY: the session is valid.
        check(unsafe { ffi::nghttp2_submit_shutdown_notice(self.session.as_ptr()) })
    }

    /// Take no more streams; those that are open go on.
    pub fn shut_down(&mut self) -> Result<(), Broken> {
        let raw = self.session.as_ptr();
        // SAFETY: the session is valid.
        let last = unsafe { ffi::nghttp2_session_get_last_proc_stream_id(raw) };
        // SAFETY: the session is valid; there is no debug data.
        check(unsafe { ffi::nghttp2_submit_goaway(raw, 0, last, ffi::NGHTTP2_NO_ERROR, ptr::null(), 0) })
    }

    /// Whether there is something that `send` could send.
    pub fn wants_write(&self) -> bool {
        // SAFETY: the session is valid; this only reads it.
        unsafe { ffi::nghttp2_session_want_write(self.session.as_ptr()) != 0 }
    }

    /// Whether both sides have said everything.
    pub fn is_done(&self) -> bool {
        // SAFETY: the session is valid; this only reads it.
        !self.wants_write() && unsafe { ffi::nghttp2_session_want_read(self.session.as_ptr()) == 0 }
    }

    /// Whether the peer has sent the preface and its SETTINGS.
    pub fn is_settled(&self) -> bool {
        // SAFETY: the pointer is valid, and no exclusive reference to what it points to is alive.
        unsafe { self.shared.as_ref() }.settled
    }

    /// The key of an open stream.
    pub fn key(&self, stream: i32) -> Option<usize> {
        // SAFETY: the session is valid; this only reads it.
        unsafe { key_of(self.session.as_ptr(), stream) }
    }

    /// Whoever knows the streams.
    pub fn streams(&self) -> &S {
        // SAFETY: the pointer is valid, and no exclusive reference to what it points to is alive.
        &unsafe { self.shared.as_ref() }.streams
    }

    /// Whoever knows the streams.
    pub fn streams_mut(&mut self) -> &mut S {
        // SAFETY: the pointer is valid, and no other reference to what it points to is alive.
        &mut unsafe { self.shared.as_mut() }.streams
    }
}

impl<S: Streams> Drop for Session<S> {
    fn drop(&mut self) {
        // SAFETY: the session is valid and used no more; deleting it calls no callback.
        unsafe { ffi::nghttp2_session_del(self.session.as_ptr()) };
        // SAFETY: it came from a `Box`; nghttp2, the only other that had it, is gone.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

/// Why we end a stream at once.
#[derive(Clone, Copy, Debug)]
pub enum Reset {
    /// Nobody waits for it any more.
    Cancel = ffi::NGHTTP2_CANCEL as isize,
    /// Its peer does not take what it asked for.
    EnhanceYourCalm = ffi::NGHTTP2_ENHANCE_YOUR_CALM as isize,
}

fn check(result: i32) -> Result<(), Broken> {
    if result == 0 { Ok(()) } else { Err(Broken(result)) }
}

fn fields(headers: &[Header<'_>]) -> ([ffi::nghttp2_nv; MOST_HEADERS], usize) {
    let none =
        ffi::nghttp2_nv { name: ptr::null_mut(), value: ptr::null_mut(), namelen: 0, valuelen: 0, flags: 0 };
    let mut fields = [none; MOST_HEADERS];
    debug_assert!(headers.len() <= MOST_HEADERS, "more fields than any reply has");
    for (field, header) in fields.iter_mut().zip(headers) {
        *field = ffi::nghttp2_nv {
            name: header.name.as_ptr().cast_mut(), // nghttp2 does not write to either
            value: header.value.as_ptr().cast_mut(),
            namelen: header.name.len(),
            valuelen: header.value.len(),
            flags: header.flags,
        };
    }
    (fields, headers.len().min(MOST_HEADERS))
}
