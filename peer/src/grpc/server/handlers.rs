//! The handlers on the completion-queue thread: they hand a call to `crate::serve`, return, and later send its replies.
//!
//! Nothing here blocks, and nothing may unwind into gRPC, where it would end the thread that every call of the process
//! depends on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_channel::{mpsc, oneshot};
use futures_util::{FutureExt, SinkExt, StreamExt};
use grpcio::{Deadline, DuplexSink, RequestStream, RpcContext, UnarySink, WriteFlags};
use peernet_protos::grpc::{ChunkRequest, FetchRequest, ManifestReply, ManifestRequest};

use super::guard;
use super::send_timeouts::SendTimeouts;
use super::status::status;
use crate::access::AUTHORIZATION;
use crate::grpc::marshal::Serialized;
use crate::serve::caller::{readable, without_port};
use crate::serve::calls::{Call, Reply, ReplyTo, Request};
use crate::serve::stream::{OUTGOING_MAX, Out, Outgoing, Remote, Stream};
use crate::serve::{Core, Presented, Pump, Refusal};

/// A call whose caller does not take the reply is given up after this time, and its memory is free again.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// The state that the handlers of one server share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) core: Arc<Core>,
    pub(super) pump: Pump,
    pub(super) timeouts: SendTimeouts,
}

pub(super) fn chunk(
    service: Service,
) -> impl FnMut(RpcContext<'_>, ChunkRequest, UnarySink<Serialized>) + Send + Clone + 'static {
    move |context, request, sink| {
        guarded(|| {
            let (reply, replied) = waiting(&context);
            answer_later(&service, &context, sink, Request::Chunk(request, reply), replied);
        });
    }
}

pub(super) fn manifest(
    service: Service,
) -> impl FnMut(RpcContext<'_>, ManifestRequest, UnarySink<ManifestReply>) + Send + Clone + 'static {
    move |context, request, sink| {
        guarded(|| {
            let (reply, replied) = waiting(&context);
            answer_later(&service, &context, sink, Request::Manifest(request, reply), replied);
        });
    }
}

type Replied<T> = oneshot::Receiver<Result<Reply<T>, Refusal>>;

/// The waiting end of a unary call.
struct Waiting<T> {
    deadline: Deadline,
    reply: oneshot::Sender<Result<Reply<T>, Refusal>>,
}

impl<T: Send> ReplyTo<T> for Waiting<T> {
    fn is_too_late(&self) -> bool {
        self.deadline.exceeded()
    }

    fn send(self: Box<Self>, result: Result<Reply<T>, Refusal>) {
        // The caller may have gone.
        let _ = self.reply.send(result);
    }
}

fn waiting<T: Send + 'static>(context: &RpcContext<'_>) -> (Box<dyn ReplyTo<T>>, Replied<T>) {
    let (reply, replied) = oneshot::channel();
    (Box::new(Waiting { deadline: context.deadline(), reply }), replied)
}

/// Queues the question, and spawns a future that sends the reply when there is one.
fn answer_later<T, W>(
    service: &Service,
    context: &RpcContext<'_>,
    sink: UnarySink<W>,
    question: Request,
    replied: Replied<T>,
) where
    T: Send + 'static,
    W: From<T> + Send + 'static,
{
    let address = without_port(&context.peer()).to_owned();
    let call = Call { question, address, presented: presented(context), allowance: 0 };
    if !service.core.enqueue(call) {
        service.core.count_refused();
        return fail_unary(context, sink, &Refusal::busy());
    }
    let timeouts = service.timeouts.clone();
    context.spawn(contained(async move {
        match replied.await {
            // The memory and the slot are held until the reply is sent.
            Ok(Ok(Reply { reply, _memory, _slot })) => {
                let _ = timeouts.within(SEND_TIMEOUT, sink.success(reply.into())).await;
            }
            Ok(Err(refusal)) => drop(sink.fail(status(&refusal)).await),
            Err(_) => drop(sink.fail(status(&Refusal::stopping())).await),
        }
    }));
}

/// The messages of a stream, for the future that sends them.
struct Channel(mpsc::Sender<Out>);

impl Outgoing for Channel {
    fn put(&mut self, out: Out) -> bool {
        self.0.try_send(out).is_ok()
    }
}

pub(super) fn fetch(
    service: Service,
) -> impl FnMut(RpcContext<'_>, RequestStream<FetchRequest>, DuplexSink<Serialized>) + Send + Clone + 'static {
    move |context, requests, sink| {
        guarded(|| {
            let core = &service.core;
            let Some((stream, outgoing)) = begin_stream(&service, &context) else {
                core.count_refused();
                return refuse_stream(&context, requests, sink, &Refusal::busy());
            };
            core.count_stream();
            context.spawn(contained(read(Arc::clone(&stream), requests)));
            context.spawn(contained(write(stream, service.timeouts.clone(), outgoing, sink)));
        });
    }
}

fn begin_stream(service: &Service, context: &RpcContext<'_>) -> Option<(Arc<Stream>, mpsc::Receiver<Out>)> {
    if service.core.is_stopping() {
        return None;
    }
    let remote = Remote { address: readable(&context.peer()), presented: presented(context) };
    let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
    let outgoing = Box::new(Channel(outgoing));
    let stream = service.core.streams.begin(service.pump.clone(), &service.core, remote, outgoing)?;
    Some((stream, receiver))
}

/// The caller of a call, and the grant in its metadata.
fn presented(context: &RpcContext<'_>) -> Presented {
    let mut headers = context.request_headers().into_iter();
    let header = headers.find(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value);
    Presented::new(guard::caller(context), header)
}

/// Takes requests until the caller ends its half, fails, or sends something out of bounds. In the last case it goes on
/// reading, because dropping the stream early would cancel the call before its status is sent.
async fn read(stream: Arc<Stream>, mut requests: RequestStream<FetchRequest>) {
    while let Some(request) = requests.next().await {
        match request {
            Ok(request) => stream.request(request),
            Err(_) => return stream.abandon(),
        }
    }
    stream.requests_ended();
}

/// Sends the messages that the disk threads made, one at a time. The next is started when gRPC has taken the last.
/// That, and not a queue, holds back the disk.
async fn write(
    stream: Arc<Stream>,
    timeouts: SendTimeouts,
    mut outgoing: mpsc::Receiver<Out>,
    mut sink: DuplexSink<Serialized>,
) {
    while let Some(out) = outgoing.next().await {
        match out {
            Out::Reply(reply, memory) => {
                let message = (Serialized::from(reply), WriteFlags::default());
                let sent = timeouts.within(SEND_TIMEOUT, sink.send(message)).await;
                drop(memory);
                if !matches!(sent, Some(Ok(()))) {
                    return stream.abandon();
                }
                stream.sent();
            }
            Out::Fail(refusal) => {
                stream.abandon();
                let _ = timeouts.within(SEND_TIMEOUT, sink.fail(status(&refusal))).await;
                return;
            }
            Out::End => {
                stream.abandon();
                let _ = timeouts.within(SEND_TIMEOUT, sink.close()).await;
                return;
            }
        }
    }
}

fn fail_unary<T: 'static>(context: &RpcContext<'_>, sink: UnarySink<T>, refusal: &Refusal) {
    let failing = sink.fail(status(refusal));
    context.spawn(contained(async move { drop(failing.await) }));
}

fn refuse_stream(
    context: &RpcContext<'_>,
    requests: RequestStream<FetchRequest>,
    sink: DuplexSink<Serialized>,
    refusal: &Refusal,
) {
    let failing = sink.fail(status(refusal));
    context.spawn(contained(async move {
        let _ = failing.await;
        drop(requests);
    }));
}

fn guarded(handler: impl FnOnce()) {
    // State that a panic leaves half done is dropped with the call, which the caller sees as cancelled.
    let _ = catch_unwind(AssertUnwindSafe(handler));
}

async fn contained(future: impl Future<Output = ()>) {
    let _ = AssertUnwindSafe(future).catch_unwind().await;
}
