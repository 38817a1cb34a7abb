//! A bounded number of places under way to one server, shared out fairly among clients.
//!
//! Whoever finds no place waits in the line of their client. The lines take turns, one request each. So a client that
//! sends much waits for its own requests, and delays another client by one request at a time.
//!
//! A client has at most as many places as it leaves free (the dynamic threshold of Choudhury and Hahne, 1998), and no
//! more than it can use. So some places are left for others, even if a server takes long to answer all requests of the first clients.

use farthing_node::network::ClientNumber;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    /// The number of places.
    pub(crate) places: usize,
    /// The maximum number of places of one client.
    pub(crate) places_per_client: usize,
    /// The maximum number of requests that wait, over all clients. A client with fewer than others then pushes out the
    /// last request of the longest line.
    pub(crate) waiting_max: usize,
    /// The maximum number of requests of one client that wait.
    pub(crate) waiting_per_client_max: usize,
}

/// The places and the lines of those who wait.
pub(crate) struct FairQueue {
    limits: QueueLimits,
    state: Mutex<State>,
}

/// Someone who waits for a place.
type Waiter = oneshot::Sender<Place>;

struct State {
    /// The number of places that nobody has.
    free: usize,
    /// The maximum number of places of one client.
    most: usize,
    /// The number of places of each client that has any.
    held: BTreeMap<ClientNumber, usize>,
    /// The lines. None is empty.
    lines: BTreeMap<ClientNumber, VecDeque<Waiter>>,
    /// The clients with a line, in the order of their turns.
    turns: VecDeque<ClientNumber>,
    /// The length of all lines together.
    waiting: usize,
}

/// One place. It goes to the next who waits when it is dropped.
pub(crate) struct Place {
    /// The queue, unless the place was never used.
    queue: Option<Arc<FairQueue>>,
    client: ClientNumber,
}

impl FairQueue {
    pub(crate) fn new(limits: QueueLimits) -> Arc<Self> {
        let state = State {
            free: limits.places,
            most: limits.places_per_client,
            held: BTreeMap::new(),
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
        };
        Arc::new(Self {
            limits,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of `client`. `None` if too many wait. A caller that stops waiting leaves the line.
    pub(crate) async fn place(self: &Arc<Self>, client: ClientNumber) -> Option<Place> {
        let turn = {
            let mut state = self.state();
            if state.take(client) {
                return Some(self.given_to(client));
            }
            if !state.has_room(client, &self.limits) {
                return None;
            }
            state.wait(client)
        };
        turn.await.ok()
    }

    fn given_to(self: &Arc<Self>, client: ClientNumber) -> Place {
        Place {
            queue: Some(Arc::clone(self)),
            client,
        }
    }

    /// Takes a place back from `client`, and gives free places to those whose turn it is.
    fn take_back(self: &Arc<Self>, client: ClientNumber) {
        let mut state = self.state();
        state.give_back(client);
        while let Some((next, waiter)) = state.next() {
            drop(state);
            let sent = waiter.send(self.given_to(next));
            state = self.state();
            if let Err(mut unused) = sent {
                // They wait no more.
                unused.queue = None;
                state.give_back(next);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.take_back(self.client);
        }
    }
}

impl State {
    /// Joins the line of `client`.
    fn wait(&mut self, client: ClientNumber) -> oneshot::Receiver<Place> {
        let (waiter, turn) = oneshot::channel();
        let line = self.lines.entry(client).or_default();
        if line.is_empty() {
            self.turns.push_back(client);
        }
        line.push_back(waiter);
        self.waiting += 1;
        turn
    }

    /// Takes a place for `client`, if it may have one more.
    fn take(&mut self, client: ClientNumber) -> bool {
        let held = self.held.get(&client).copied().unwrap_or_default();
        let may = held < self.free.min(self.most);
        if may {
            self.free -= 1;
            self.held.insert(client, held + 1);
        }
        may
    }

    fn give_back(&mut self, client: ClientNumber) {
        self.free += 1;
        match self.held.get_mut(&client) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(self.held.remove(&client)),
        }
    }

    /// Takes the first of the next line whose client may have a place. The next turn of a line is after all others.
    fn next(&mut self) -> Option<(ClientNumber, Waiter)> {
        for _ in 0..self.turns.len() {
            let client = self.turns.pop_front()?;
            if !self.take(client) {
                self.turns.push_back(client);
                continue;
            }
            let line = self.lines.get_mut(&client)?;
            let waiter = line.pop_front()?;
            self.waiting -= 1;
            if line.is_empty() {
                self.lines.remove(&client);
            } else {
                self.turns.push_back(client);
            }
            return Some((client, waiter));
        }
        None
    }

    /// Whether one more request of `client` may wait. For a short line, the last of the longest one may have to go.
    fn has_room(&mut self, client: ClientNumber, limits: &QueueLimits) -> bool {
        let is_full = |state: &Self| {
            state.waiting >= limits.waiting_max || state.length(client) >= limits.waiting_per_client_max
        };
        if is_full(self) {
            self.forget_gone();
        }
        let own = self.length(client);
        if own >= limits.waiting_per_client_max {
            return false;
        }
        if self.waiting < limits.waiting_max {
            return true;
        }
        match self.lines.values_mut().max_by_key(|line| line.len()) {
            Some(longest) if longest.len() > own + 1 => {
                // Dropping the waiter tells its caller.
                longest.pop_back();
                self.waiting -= 1;
                true
            }
            _ => false,
        }
    }

    fn length(&self, client: ClientNumber) -> usize {
        self.lines.get(&client).map_or(0, VecDeque::len)
    }

    /// Removes those who have stopped waiting.
    fn forget_gone(&mut self) {
        for line in self.lines.values_mut() {
            line.retain(|waiter| !waiter.is_closed());
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.turns.retain(|client| self.lines.contains_key(client));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    const LIMITS: QueueLimits = QueueLimits {
        places: 1,
        places_per_client: 2,
        waiting_max: 4,
        waiting_per_client_max: 3,
    };

    /// A request that was polled once.
    type Request = Pin<Box<dyn Future<Output = Option<Place>>>>;

    fn poll(request: &mut Request) -> Poll<Option<Place>> {
        request.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A request of `client` that waits.
    fn waiting(queue: &Arc<FairQueue>, client: u64) -> Request {
        let queue = Arc::clone(queue);
        let mut request: Request = Box::pin(async move { queue.place(ClientNumber(client)).await });
        assert!(poll(&mut request).is_pending());
        request
    }

    /// The outcome of a request that does not wait: whether it got a place, which is given back at once.
    fn is_taken(queue: &Arc<FairQueue>, client: u64) -> bool {
        match pin!(queue.place(ClientNumber(client))).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => place.is_some(),
            Poll::Pending => panic!("it waits"),
        }
    }

    fn place(request: &mut Request) -> Option<Place> {
        match poll(request) {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    /// Takes all places in turn, and returns the order of the clients.
    fn order(mut first: Option<Place>, requests: &mut [(u64, Request)]) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(place_before) = first.take() {
            drop(place_before);
            for (client, request) in &mut *requests {
                if let Poll::Ready(Some(place)) = poll(request) {
                    order.push(*client);
                    *request = Box::pin(std::future::pending());
                    first = Some(place);
                    break;
                }
            }
        }
        order
    }

    fn first(queue: &Arc<FairQueue>) -> Option<Place> {
        let queue = Arc::clone(queue);
        let mut request: Request = Box::pin(async move { queue.place(ClientNumber(0)).await });
        place(&mut request)
    }

    #[test]
    fn clients_take_turns() {
        let queue = FairQueue::new(LIMITS);
        let held = first(&queue);
        let clients = [1, 1, 1, 2];
        let mut requests: Vec<_> = clients
            .into_iter()
            .map(|client| (client, waiting(&queue, client)))
            .collect();
        assert_eq!(order(held, &mut requests), [1, 2, 1, 1]);
        assert!(is_taken(&queue, 3), "all places are free again");
        assert!(queue.state().lines.is_empty() && queue.state().turns.is_empty());
    }

    #[test]
    fn a_place_that_nobody_takes_goes_to_the_next() {
        let queue = FairQueue::new(LIMITS);
        let held = first(&queue);
        let gone = waiting(&queue, 1);
        let called = waiting(&queue, 1);
        let mut last = waiting(&queue, 2);
        drop(gone);
        drop(held);
        // The turn of client 1 found nobody, and client 2 was next.
        let second = place(&mut last);
        assert!(second.is_some());
        drop(second);
        // This one was called, and is dropped before it looks.
        drop(called);
        assert!(is_taken(&queue, 3));
        assert_eq!(queue.state().waiting, 0);
    }

    #[test]
    fn a_client_has_a_bounded_line_and_leaves_room_for_others() {
        let queue = FairQueue::new(LIMITS);
        let held = first(&queue);
        let own = [waiting(&queue, 1), waiting(&queue, 1)];
        let mut pushed_out = waiting(&queue, 1);
        assert!(!is_taken(&queue, 1), "three of one client wait");
        let mut other = waiting(&queue, 2);
        // Four wait. A third client pushes out the last of the longest line.
        let third = waiting(&queue, 3);
        assert!(matches!(poll(&mut pushed_out), Poll::Ready(None)));
        assert!(!is_taken(&queue, 1), "its line is the longest");
        drop((own, third));
        // Those who are gone take no room.
        let more = [waiting(&queue, 4), waiting(&queue, 4), waiting(&queue, 4)];
        drop((held, more));
        assert!(place(&mut other).is_some());
        assert_eq!(queue.state().free, 1);
        assert!(queue.state().held.is_empty());
    }

    #[test]
    fn a_client_leaves_as_many_places_free_as_it_has() {
        let places = 4;
        let queue = FairQueue::new(QueueLimits { places, ..LIMITS });
        let (one, two) = (first(&queue), first(&queue));
        assert!(one.is_some() && two.is_some());
        let mut third = waiting(&queue, 0);
        let mut other: Request = Box::pin({
            let queue = Arc::clone(&queue);
            async move { queue.place(ClientNumber(1)).await }
        });
        let other = place(&mut other);
        assert!(other.is_some(), "a place was left for another client");
        assert!(poll(&mut third).is_pending());
        drop(one);
        assert!(place(&mut third).is_some());
        drop((two, other));
        assert_eq!(queue.state().free, places);
    }
}
