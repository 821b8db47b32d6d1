//! What nghttp2 calls: for each thing that it reports, one function that tells `Streams`.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;

use libnghttp2_sys as ffi;

use super::{Broken, Next, Streams, check, fields};
use crate::edge::limits::{
    GLITCH_BURST, GLITCHES_PER_SECOND, MAX_CONTINUATIONS, MAX_OUTBOUND_ACKS, MAX_SETTINGS, RESET_BURST,
    RESETS_PER_SECOND,
};

const FRAME_HEADER_BYTES: usize = 9;

/// What the callbacks share with the session.
pub(super) struct Shared<S> {
    pub(super) streams: S,
    pub(super) settled: bool,
    /// The stream that was looked up last, and its key: frames of one stream come one after another. Stream 0 has
    /// no key.
    last: (i32, usize),
    /// Where the input of the present `receive` starts.
    pub(super) input: usize,
    pub(super) output: Vec<u8>,
    /// When `output` has so many bytes, DATA waits for the next `send`.
    pub(super) most: usize,
}

/// # Safety
/// `shared` must stay valid for as long as the session is used.
pub(super) unsafe fn new_session<S: Streams>(
    shared: NonNull<Shared<S>>,
) -> Result<NonNull<ffi::nghttp2_session>, Broken> {
    let mut options = ptr::null_mut();
    let mut callbacks = ptr::null_mut();
    let mut session = ptr::null_mut();
    // SAFETY: each object is used only after it was made and freed once; nghttp2 copies what it keeps of them.
    unsafe {
        check(ffi::nghttp2_option_new(&raw mut options))?;
        ffi::nghttp2_option_set_no_auto_window_update(options, 1);
        ffi::nghttp2_option_set_max_outbound_ack(options, MAX_OUTBOUND_ACKS);
        ffi::nghttp2_option_set_max_settings(options, MAX_SETTINGS);
        ffi::nghttp2_option_set_max_continuations(options, MAX_CONTINUATIONS);
        ffi::nghttp2_option_set_stream_reset_rate_limit(options, RESET_BURST, RESETS_PER_SECOND);
        ffi::nghttp2_option_set_glitch_rate_limit(options, GLITCH_BURST, GLITCHES_PER_SECOND);
        let mut result = ffi::nghttp2_session_callbacks_new(&raw mut callbacks);
        if result == 0 {
            ffi::nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Some(begin_headers::<S>));
            ffi::nghttp2_session_callbacks_set_on_header_callback(callbacks, Some(header::<S>));
            ffi::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Some(data_chunk::<S>));
            ffi::nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Some(frame_received::<S>));
            ffi::nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Some(frame_sent));
            ffi::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Some(stream_closed::<S>));
            ffi::nghttp2_session_callbacks_set_send_data_callback(callbacks, Some(send_data::<S>));
            let data = shared.as_ptr().cast();
            result = ffi::nghttp2_session_server_new2(&raw mut session, callbacks, data, options);
            ffi::nghttp2_session_callbacks_del(callbacks);
        }
        ffi::nghttp2_option_del(options);
        check(result)?;
    }
    NonNull::new(session).ok_or(Broken(ffi::NGHTTP2_ERR_NOMEM))
}

impl<S> Shared<S> {
    pub(super) const fn new(streams: S) -> Self {
        Self { streams, settled: false, last: (0, 0), input: 0, output: Vec::new(), most: usize::MAX }
    }

    /// # Safety
    /// `session` must be valid.
    unsafe fn key_of(&mut self, session: *mut ffi::nghttp2_session, stream: i32) -> Option<usize> {
        if self.last.0 != stream {
            // SAFETY: as the caller promises.
            self.last = (stream, unsafe { key_of(session, stream) }?);
        }
        Some(self.last.1)
    }
}

/// A key is kept as the stream's user data, one higher: null means none.
///
/// # Safety
/// `session` must be valid.
pub(super) unsafe fn key_of(session: *mut ffi::nghttp2_session, stream: i32) -> Option<usize> {
    // SAFETY: as the caller promises.
    let data = unsafe { ffi::nghttp2_session_get_stream_user_data(session, stream) };
    (data as usize).checked_sub(1)
}

/// # Safety
/// `data` must be the pointer that `Session::server` gave to nghttp2, and no other reference to what it points to
/// may be alive: `Session` holds none while it calls nghttp2.
unsafe fn shared<'a, S>(data: *mut c_void) -> &'a mut Shared<S> {
    // SAFETY: as the caller promises.
    unsafe { &mut *data.cast::<Shared<S>>() }
}

// nghttp2 calls the functions below with the session, frames and buffers valid for the time of the call, and with
// the user data that it was given. Each answers 0: nothing in them can fail.

unsafe extern "C" fn begin_headers<S: Streams>(
    session: *mut ffi::nghttp2_session,
    frame: *const ffi::nghttp2_frame,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above; nghttp2 calls this for frames of type HEADERS.
    let headers = unsafe { &(*frame).headers };
    if headers.cat == ffi::NGHTTP2_HCAT_REQUEST {
        // SAFETY: see above.
        let shared = unsafe { shared::<S>(data) };
        let key = shared.streams.opened(headers.hd.stream_id);
        shared.last = (headers.hd.stream_id, key);
        let tag = (key + 1) as *mut c_void;
        // SAFETY: see above; the stream was opened right before.
        unsafe { ffi::nghttp2_session_set_stream_user_data(session, headers.hd.stream_id, tag) };
    }
    0
}

unsafe extern "C" fn header<S: Streams>(
    _: *mut ffi::nghttp2_session,
    frame: *const ffi::nghttp2_frame,
    name: *const u8,
    name_length: usize,
    value: *const u8,
    value_length: usize,
    _flags: u8,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above; nghttp2 calls this for frames of type HEADERS.
    if unsafe { &(*frame).headers }.cat == ffi::NGHTTP2_HCAT_REQUEST {
        // SAFETY: see above; neither pointer is null.
        let (name, value) =
            unsafe { (slice::from_raw_parts(name, name_length), slice::from_raw_parts(value, value_length)) };
        // SAFETY: see above.
        unsafe { shared::<S>(data) }.streams.header(name, value);
    }
    0
}

unsafe extern "C" fn data_chunk<S: Streams>(
    session: *mut ffi::nghttp2_session,
    _flags: u8,
    stream: i32,
    chunk: *const u8,
    length: usize,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above.
    let shared = unsafe { shared::<S>(data) };
    // SAFETY: see above.
    if let Some(key) = unsafe { shared.key_of(session, stream) } {
        // DATA is never put together: the chunk lies in the input.
        let start = (chunk as usize).wrapping_sub(shared.input);
        shared.streams.data(key, start..start + length);
    }
    0
}

unsafe extern "C" fn frame_received<S: Streams>(
    session: *mut ffi::nghttp2_session,
    frame: *const ffi::nghttp2_frame,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above; every kind of frame begins with its header.
    let (frame, shared, head) = unsafe { (&*frame, shared::<S>(data), &(*frame).hd) };
    match u32::from(head.type_) {
        ffi::NGHTTP2_HEADERS | ffi::NGHTTP2_DATA => {}
        ffi::NGHTTP2_SETTINGS => {
            shared.settled = true;
            return 0;
        }
        _ => return 0,
    }
    // SAFETY: see above.
    let Some(key) = (unsafe { shared.key_of(session, head.stream_id) }) else { return 0 };
    // SAFETY: the type says which part of the union is valid.
    let request = u32::from(head.type_) == ffi::NGHTTP2_HEADERS
        && unsafe { &frame.headers }.cat == ffi::NGHTTP2_HCAT_REQUEST;
    if request {
        shared.streams.headers_ended(key);
    }
    if u32::from(head.flags) & ffi::NGHTTP2_FLAG_END_STREAM != 0 {
        shared.streams.ended(key);
    }
    0
}

/// A response that ends before its request does: tell the peer to send no more, and that nothing is wrong.
unsafe extern "C" fn frame_sent(
    session: *mut ffi::nghttp2_session,
    frame: *const ffi::nghttp2_frame,
    _: *mut c_void,
) -> i32 {
    // SAFETY: see above; every kind of frame begins with its header.
    let head = unsafe { &(*frame).hd };
    let last = u32::from(head.type_) == ffi::NGHTTP2_HEADERS
        && u32::from(head.flags) & ffi::NGHTTP2_FLAG_END_STREAM != 0;
    // SAFETY: see above.
    if last && unsafe { ffi::nghttp2_session_get_stream_remote_close(session, head.stream_id) } == 0 {
        // SAFETY: see above. Without memory for it, the stream stays half open until the connection ends.
        unsafe { ffi::nghttp2_submit_rst_stream(session, 0, head.stream_id, ffi::NGHTTP2_NO_ERROR) };
    }
    0
}

unsafe extern "C" fn stream_closed<S: Streams>(
    session: *mut ffi::nghttp2_session,
    stream: i32,
    _error: u32,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above.
    let shared = unsafe { shared::<S>(data) };
    // SAFETY: see above.
    if let Some(key) = unsafe { shared.key_of(session, stream) } {
        shared.last = (0, 0);
        shared.streams.closed(key);
    }
    0
}

pub(super) unsafe extern "C" fn read_data<S: Streams>(
    session: *mut ffi::nghttp2_session,
    stream: i32,
    _buffer: *mut u8,
    most: usize,
    flags: *mut u32,
    source: *mut ffi::nghttp2_data_source,
    data: *mut c_void,
) -> isize {
    // SAFETY: see above; `respond` put the key there.
    let (shared, key) = unsafe { (shared::<S>(data), (*source).ptr as usize) };
    shared.last = (stream, key);
    let Next::Data { bytes, last } = shared.streams.next_data(key, most) else {
        return ffi::NGHTTP2_ERR_DEFERRED as isize;
    };
    let mut said = ffi::NGHTTP2_DATA_FLAG_NO_COPY;
    if last {
        said |= ffi::NGHTTP2_DATA_FLAG_EOF | ffi::NGHTTP2_DATA_FLAG_NO_END_STREAM;
        shared.streams.trailers(key, &mut |headers| {
            let (fields, count) = fields(headers);
            // SAFETY: see above; nghttp2 allows it here. Without memory for it, the stream stays open until its
            // caller gives up.
            unsafe { ffi::nghttp2_submit_trailer(session, stream, fields.as_ptr(), count) };
        });
    }
    // SAFETY: see above.
    unsafe { *flags |= said };
    bytes as isize
}

unsafe extern "C" fn send_data<S: Streams>(
    _: *mut ffi::nghttp2_session,
    _frame: *mut ffi::nghttp2_frame,
    head: *const u8,
    length: usize,
    source: *mut ffi::nghttp2_data_source,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see above; `respond` put the key there, and a frame's header has nine bytes. We do not pad.
    let (shared, key, head) = unsafe {
        (shared::<S>(data), (*source).ptr as usize, slice::from_raw_parts(head, FRAME_HEADER_BYTES))
    };
    if shared.output.len() >= shared.most {
        return ffi::NGHTTP2_ERR_WOULDBLOCK; // nghttp2 comes back with the same frame
    }
    shared.output.extend_from_slice(head);
    shared.streams.take_data(key, length, &mut shared.output);
    0
}
