// Answers Instagram at once, then writes the events down and queues them.
'use strict';

const crypto = require('crypto');
const { Queue } = require('bullmq');
const express = require('express');
const { QUEUE, classify, pool: makePool, redis } = require('./common');

const pool = makePool();
const queue = new Queue(QUEUE, { connection: redis });
const secret = process.env.APP_SECRET;

const JOB = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 2000 },
  priority: 5,
  removeOnComplete: { age: 86400, count: 1000 },
  removeOnFail: { age: 604800, count: 5000 },
};

const accountOf = async (igId) =>
  (await pool.query('select id from client_accounts where ig_id = $1', [igId])).rows[0];

const isKnown = async (eventId) =>
  (await pool.query('select id from instagram_webhook_events where event_id = $1', [eventId])).rows.length > 0;

async function take(event, item, account, time) {
  if (await isKnown(event.eventId)) return;
  await pool.query(
    `insert into instagram_webhook_events(
       event_type, event_id, instagram_account_id, object_type, object_id, sender_ig_id, payload
     ) values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
    [event.type, event.eventId, account.id, event.objectType, event.objectId, event.sender, item],
  );
  await pool.query(
    `update instagram_webhook_subscriptions
     set events_received_count = events_received_count + 1, last_event_at = now() where account_id = $1`,
    [account.id],
  );
  await queue.add('event', { ...event, accountId: account.id, time }, JOB);
}

async function processWebhook(body) {
  for (const entry of body.entry) {
    const account = await accountOf(entry.id);
    if (!account) continue;
    for (const item of [...(entry.changes || []), ...(entry.messaging || [])]) {
      const event = classify({ ...item, time: entry.time });
      if (event) await take(event, item, account, entry.time);
    }
  }
}

function isSigned(req) {
  const good = Buffer.from('sha256=' + crypto.createHmac('sha256', secret).update(req.raw).digest('hex'));
  const given = Buffer.from(req.get('x-hub-signature-256') || '');
  return given.length === good.length && crypto.timingSafeEqual(given, good);
}

const app = express();
app.use(express.json({ limit: '4mb', verify: (req, _res, raw) => { req.raw = raw; } }));
app.post('/api/instagram/webhooks', (req, res) => {
  if (!isSigned(req)) return res.status(401).end();
  res.status(200).send('EVENT_RECEIVED');
  processWebhook(req.body).catch((error) => console.error(error.message));
});
app.listen(Number(process.env.PORT || 8098), '127.0.0.1');
