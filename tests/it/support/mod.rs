//! What the tests stand on.

pub mod audit;
pub mod books;
pub mod cluster;
pub mod deliveries;
pub mod eventually;
pub mod fixtures;
pub mod graph;
pub mod http;
pub mod metrics;
pub mod nats;
pub mod nats_proxy;
pub mod payloads;
pub mod ports;
pub mod postgres;
pub mod postgres_server;
pub mod proxy;
pub mod replays;
pub mod retained;
pub mod rows;
pub mod schema_dump;
pub mod service;
pub mod setup;
pub mod simulator;
pub mod small_disk;

/// Every test twice, given an empty `TestDatabase`: of `PostgreSQL` and of `SQLite`.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::postgres::TestDatabase::postgres().await).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::postgres::TestDatabase::sqlite().await).await;
            })*
        }
    };
}
pub(crate) use on_both;
