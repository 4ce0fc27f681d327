//! What runs on the completion-queue thread: enqueue, return, and later hand over the answer. Nothing here blocks, and
//! nothing may unwind into gRPC, where it would end the thread that every call of the process depends on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::{FutureExt, SinkExt, StreamExt};
use grpcio::{DuplexSink, RequestStream, RpcContext, RpcStatus, RpcStatusCode, UnarySink, WriteFlags};
use peernet_protos::grpc::{ChunkRequest, FetchRequest, ManifestReply, ManifestRequest};

use super::super::marshal::Rendered;
use super::Core;
use super::calls::{Answer, Call, Question, Reply};
use super::disk::Disk;
use super::leave::Claim;
use super::stream::{Out, Remote, Stream};
use super::waiting::{readable, without_port};

/// A call whose caller does not take the answer is given up after this time, and its memory is free again.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) fn chunk(
    core: &Arc<Core>,
) -> impl FnMut(RpcContext<'_>, ChunkRequest, UnarySink<Rendered>) + Send + Clone + 'static {
    let core = Arc::clone(core);
    move |context, request, sink| {
        guarded(|| answer_later(&core, &context, sink, |reply| Question::Chunk(request, reply)))
    }
}

pub(super) fn manifest(
    core: &Arc<Core>,
) -> impl FnMut(RpcContext<'_>, ManifestRequest, UnarySink<ManifestReply>) + Send + Clone + 'static {
    let core = Arc::clone(core);
    move |context, request, sink| {
        guarded(|| answer_later(&core, &context, sink, |reply| Question::Manifest(request, reply)));
    }
}

/// Queues the question, and leaves a future behind that sends the answer when there is one.
fn answer_later<T: Send + 'static>(
    core: &Arc<Core>,
    context: &RpcContext<'_>,
    sink: UnarySink<T>,
    question: impl FnOnce(Reply<T>) -> Question,
) {
    let (reply, answered) = oneshot::channel();
    let address = without_port(&context.peer()).to_owned();
    let claim = Claim::of(context);
    let call = Call { question: question(reply), deadline: context.deadline(), address, claim, paid: 0 };
    if core.is_stopping() || !core.waiting.enqueue(call) {
        core.count_refused();
        return fail_unary(context, sink, busy());
    }
    let upkeep = core.streams.upkeep();
    context.spawn(contained(async move {
        match answered.await {
            Ok(Ok(Answer { reply, permit, running })) => {
                let _ = upkeep.within(SEND_TIMEOUT, sink.success(reply)).await;
                drop((permit, running));
            }
            Ok(Err(status)) => drop(sink.fail(status).await),
            Err(_) => drop(sink.fail(stopping()).await),
        }
    }));
}

pub(super) fn fetch(
    core: &Arc<Core>,
    disk: &Disk,
) -> impl FnMut(RpcContext<'_>, RequestStream<FetchRequest>, DuplexSink<Rendered>) + Send + Clone + 'static {
    let (core, pump) = (Arc::clone(core), disk.pump());
    move |context, requests, sink| {
        guarded(|| {
            let begun = if core.is_stopping() {
                None
            } else {
                let remote = Remote { address: readable(&context.peer()), claim: Claim::of(&context) };
                core.streams.begin(pump.clone(), &core, remote)
            };
            let Some((stream, outgoing)) = begun else {
                core.count_refused();
                return refuse_stream(&context, requests, sink, busy());
            };
            core.counters.streams_begun.fetch_add(1, Ordering::Relaxed);
            context.spawn(contained(read(Arc::clone(&stream), requests)));
            context.spawn(contained(write(stream, outgoing, sink)));
        });
    }
}

/// Takes requests until the caller ends its half, fails, or sends nonsense; in that last case goes on reading, because
/// dropping the stream early would cancel the call before its status is sent.
async fn read(stream: Arc<Stream>, mut requests: RequestStream<FetchRequest>) {
    while let Some(request) = requests.next().await {
        match request {
            Ok(request) => stream.request(request),
            Err(_) => return stream.abandon(),
        }
    }
    stream.requests_ended();
}

/// Sends what the disk threads rendered, one message at a time: the next is started when gRPC has taken the last, and
/// that, not a queue, is what holds back the disk.
async fn write(
    stream: Arc<Stream>,
    mut outgoing: futures_channel::mpsc::Receiver<Out>,
    mut sink: DuplexSink<Rendered>,
) {
    let upkeep = stream.upkeep();
    while let Some(out) = outgoing.next().await {
        match out {
            Out::Reply(reply, permit) => {
                let sent = upkeep.within(SEND_TIMEOUT, sink.send((reply, WriteFlags::default()))).await;
                drop(permit);
                if !matches!(sent, Some(Ok(()))) {
                    return stream.abandon();
                }
                stream.sent();
            }
            Out::Fail(status) => {
                stream.abandon();
                let _ = upkeep.within(SEND_TIMEOUT, sink.fail(status)).await;
                return;
            }
            Out::End => {
                stream.abandon();
                let _ = upkeep.within(SEND_TIMEOUT, sink.close()).await;
                return;
            }
        }
    }
}

fn fail_unary<T: 'static>(context: &RpcContext<'_>, sink: UnarySink<T>, status: RpcStatus) {
    let failing = sink.fail(status);
    context.spawn(contained(async move { drop(failing.await) }));
}

fn refuse_stream(
    context: &RpcContext<'_>,
    requests: RequestStream<FetchRequest>,
    sink: DuplexSink<Rendered>,
    status: RpcStatus,
) {
    let failing = sink.fail(status);
    context.spawn(contained(async move {
        let _ = failing.await;
        drop(requests);
    }));
}

fn guarded(handler: impl FnOnce()) {
    // What a panic leaves half done is dropped with the call, which the caller sees as cancelled.
    let _ = catch_unwind(AssertUnwindSafe(handler));
}

async fn contained(future: impl Future<Output = ()>) {
    let _ = AssertUnwindSafe(future).catch_unwind().await;
}

fn busy() -> RpcStatus {
    let text = "this peer serves as many calls as it can; try again later";
    RpcStatus::with_message(RpcStatusCode::RESOURCE_EXHAUSTED, text.to_owned())
}

pub(super) fn stopping() -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, "this peer is stopping".to_owned())
}
