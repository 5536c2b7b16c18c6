//! `GET /webhooks/stats/{accountId}`: figures of an account over a period.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Account, Read};
use super::extract::Query;
use super::problem::{Place, Problem, Result};
use super::values::Time;
use crate::store::statistics::{Bucket, Period, Statistics};

/// How long the period is where nothing is said.
const USUAL_DAYS: i64 = 7;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(figures))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// From then on; seven days before `to` where nothing is said
    #[param(inline, nullable = false)]
    from: Option<Time>,
    /// Until before then, at most 400 days after `from`; now where nothing is said
    #[param(inline, nullable = false)]
    to: Option<Time>,
    /// The steps of the time series, which begin at full hours and days, UTC; `day` where nothing is said
    #[param(inline, nullable = false)]
    bucket: Option<Bucket>,
}

impl Asked {
    fn period(&self, now: DateTime<Utc>) -> Result<Period> {
        let to = self.to.map_or(now, |to| to.0);
        let from = match self.from {
            Some(from) => from.0,
            None => to
                .checked_sub_signed(TimeDelta::days(USUAL_DAYS))
                .unwrap_or(DateTime::<Utc>::MIN_UTC),
        };
        Period::new(from, to, self.bucket.unwrap_or(Bucket::Day))
            .map_err(|error| Problem::field(Place::Query, "from", error.to_string()))
    }
}

/// Figures of an account over a period
///
/// What was received of each type, how quickly it was stored, and what people did: reactions, buttons, reading and
/// answering, stories. Events are counted in the generic log, of which old rows are deleted (`retention.*`); what
/// people did for as long as there is.
#[utoipa::path(
    get,
    path = "/webhooks/stats/{accountId}",
    tag = "events",
    operation_id = "getStatistics",
    params(("accountId" = Uuid, Path, description = "The account"), Asked),
    responses((status = 200, description = "The figures", body = Statistics)),
)]
async fn figures(
    account: Account<Read>,
    State(api): State<Api>,
    Query(asked): Query<Asked>,
) -> Result<Json<Statistics>> {
    let period = asked.period(Utc::now())?;
    Ok(Json(api.store().statistics(account.row.id, &period).await?))
}
