//! What the tests stand on.

pub mod deliveries;
pub mod postgres;
pub mod rows;
pub mod schema_dump;

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
