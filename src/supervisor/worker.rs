//! An actor that works in turns: one batch, or one wait, a message.

use std::marker::PhantomData;

use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::Child;

/// What a worker does after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The next turn.
    Again,
    /// Nothing: it has done what it was for.
    Done,
}

/// Work that goes on turn by turn. A turn ends within seconds, so that the actor
/// can be drained between two.
pub trait Worker: Send + Sync + 'static {
    /// Does one batch, or waits for one. An error ends the actor; its supervisor
    /// makes a new one.
    fn turn(&mut self) -> impl Future<Output = Result<Turn, ActorProcessingErr>> + Send;
}

/// A child that works in turns; `make` makes its state anew at each start.
pub fn worker<W: Worker>(
    name: &'static str,
    make: impl Fn() -> W + Clone + Send + Sync + 'static,
) -> Child {
    Child::new(name, move |supervisor| {
        let make = make.clone();
        let started: BoxFuture<'static, _> = Box::pin(async move {
            let (actor, _) =
                Actor::spawn_linked(None, Turning::<W>(PhantomData), make(), supervisor).await?;
            Ok(actor.get_cell())
        });
        started
    })
}

struct Turning<W>(PhantomData<W>);

struct Next;

impl<W: Worker> Actor for Turning<W> {
    type Msg = Next;
    type State = W;
    type Arguments = W;

    async fn pre_start(&self, myself: ActorRef<Next>, worker: W) -> Result<W, ActorProcessingErr> {
        myself.cast(Next)?;
        Ok(worker)
    }

    async fn handle(
        &self,
        myself: ActorRef<Next>,
        Next: Next,
        worker: &mut W,
    ) -> Result<(), ActorProcessingErr> {
        match worker.turn().await? {
            // Refused once the actor is being drained: then this was the last turn.
            Turn::Again => drop(myself.cast(Next)),
            Turn::Done => myself.stop(None),
        }
        Ok(())
    }
}
