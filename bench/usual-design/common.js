// What the server and the worker share. The environment: PGURL (postgres://…), REDIS_PORT, PORT, APP_SECRET.
'use strict';

const { Pool } = require('pg');

exports.QUEUE = 'instagram-webhook-events';

exports.pool = () => new Pool({ connectionString: process.env.PGURL, max: 10, options: '-c search_path=reference' });

exports.redis = {
  host: '127.0.0.1',
  port: Number(process.env.REDIS_PORT || 6379),
  maxRetriesPerRequest: null, // BullMQ asks for it.
};

// Instagram tells times in seconds and in milliseconds.
exports.date = (time) => {
  const number = Number(time);
  return new Date(number >= 1e11 ? number : number * 1000);
};

// One item of entry[].changes[] or entry[].messaging[] → its type, object and sender; null if it is of no known type.
exports.classify = (item) => {
  const field = item.field || '';
  const v = item.value || item;
  const event = (type, objectType, objectId, sender, ...parts) => ({
    type, objectType, objectId, sender, eventId: [type, ...parts].join('_'), v,
  });
  if (field === 'comments') return event('comment', 'comment', v.id, v.from.id, v.id, v.from.id);
  if (field === 'live_comments') return event('live_comment', 'live_video', v.id, v.from.id, v.id, v.from.id);
  if (field === 'mentions') {
    return event('mention', 'mention', v.comment_id || v.media_id, null, v.media_id, v.comment_id || '-');
  }
  if (v.reaction) {
    const { mid, action } = v.reaction;
    return event('message_reactions', 'message_reaction', mid, v.sender.id, mid, v.sender.id, action, v.timestamp);
  }
  if (v.postback) {
    const { mid } = v.postback;
    return event('messaging_postbacks', 'messaging_postback', mid, v.sender.id, mid, v.sender.id);
  }
  if (v.read) {
    const { mid } = v.read;
    return event('messaging_seen', 'messaging_seen', mid, v.sender.id, mid, v.sender.id, v.timestamp);
  }
  if (field === 'story_insights') {
    return event('story_insights', 'story_insight', v.media_id, null, v.media_id, item.time);
  }
  if (v.message) {
    const { mid, attachments } = v.message;
    const isStory = (attachments || []).some((attachment) => attachment.type === 'story_mention');
    return isStory
      ? event('story_mention', 'story', mid, v.sender.id, mid, v.sender.id)
      : event('message', 'message', mid, v.sender.id, mid, v.sender.id);
  }
  return null;
};
