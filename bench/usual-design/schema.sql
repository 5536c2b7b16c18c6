-- The tables of the usual design, with the indexes it has, in a schema of their own.
drop schema if exists reference cascade;
create schema reference;
set search_path = reference;

create table client_accounts (
  id uuid primary key default gen_random_uuid(),
  ig_id varchar(255) unique not null
);

create table instagram_webhook_subscriptions (
  id uuid primary key default gen_random_uuid(),
  account_id uuid references client_accounts,
  events_received_count bigint default 0,
  last_event_at timestamptz
);

create table instagram_webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_type varchar(50),
  event_id varchar(255) unique,
  instagram_account_id uuid references client_accounts,
  object_type varchar(50),
  object_id varchar(255),
  sender_ig_id varchar(255),
  sender_username varchar(255),
  payload jsonb,
  processed boolean default false,
  processed_at timestamptz,
  processing_attempts int default 0,
  last_processing_error text,
  is_duplicate boolean default false,
  duplicate_of uuid,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create index on instagram_webhook_events (event_type);
create index on instagram_webhook_events (instagram_account_id);
create index on instagram_webhook_events (processed);
create index on instagram_webhook_events (created_at);
create index on instagram_webhook_events (sender_ig_id);
create index on instagram_webhook_events (is_duplicate);

create table instagram_comments (
  id varchar(255) primary key,
  text text,
  timestamp timestamptz,
  from_id varchar(255),
  from_username varchar(255),
  media_id varchar(255),
  account_id uuid references client_accounts,
  raw_data jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create index on instagram_comments (account_id);
create index on instagram_comments (timestamp desc);
create index on instagram_comments (media_id);

create table instagram_mentions (
  id varchar(255) primary key,
  media_id varchar(255),
  comment_id varchar(255),
  timestamp timestamptz,
  mentioned_in varchar(20),
  account_id uuid references client_accounts,
  raw_data jsonb,
  created_at timestamptz default now()
);

create table messages (
  id varchar(255) primary key,
  account_id uuid references client_accounts,
  sender_ig_id varchar(255),
  recipient_ig_id varchar(255),
  text text,
  timestamp timestamptz,
  raw_data jsonb,
  created_at timestamptz default now()
);
create index on messages (account_id);
create index on messages (sender_ig_id);
create index on messages (timestamp desc);

create table instagram_message_reactions (
  id uuid primary key default gen_random_uuid(),
  message_id varchar(255),
  account_id uuid references client_accounts,
  sender_ig_id varchar(255),
  recipient_ig_id varchar(255),
  action varchar(50),
  reaction_type varchar(50),
  emoji varchar(64),
  timestamp timestamptz,
  raw_data jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (message_id, sender_ig_id, timestamp)
);
create index on instagram_message_reactions (account_id);
create index on instagram_message_reactions (message_id);
create index on instagram_message_reactions (sender_ig_id);
create index on instagram_message_reactions (timestamp desc);
create index on instagram_message_reactions (action);

create table instagram_messaging_postbacks (
  id uuid primary key default gen_random_uuid(),
  message_id varchar(255),
  account_id uuid references client_accounts,
  sender_ig_id varchar(255),
  recipient_ig_id varchar(255),
  is_self boolean,
  postback_title varchar(255),
  postback_payload text,
  timestamp timestamptz,
  raw_data jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (message_id, sender_ig_id)
);
create index on instagram_messaging_postbacks (account_id);
create index on instagram_messaging_postbacks (message_id);
create index on instagram_messaging_postbacks (sender_ig_id);
create index on instagram_messaging_postbacks (timestamp desc);
create index on instagram_messaging_postbacks (postback_payload);

create table instagram_messaging_seen (
  id uuid primary key default gen_random_uuid(),
  last_message_id varchar(255),
  account_id uuid references client_accounts,
  reader_ig_id varchar(255),
  recipient_ig_id varchar(255),
  timestamp timestamptz,
  raw_data jsonb,
  created_at timestamptz default now(),
  unique (last_message_id, reader_ig_id, timestamp)
);
create index on instagram_messaging_seen (account_id);
create index on instagram_messaging_seen (last_message_id);
create index on instagram_messaging_seen (reader_ig_id);
create index on instagram_messaging_seen (timestamp desc);

create table instagram_story_insights_aggregated (
  id uuid primary key default gen_random_uuid(),
  media_id varchar(255),
  account_id uuid references client_accounts,
  impressions int,
  reach int,
  taps_forward int,
  taps_back int,
  exits int,
  replies int,
  timestamp timestamptz,
  raw_data jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (media_id, timestamp)
);
create index on instagram_story_insights_aggregated (account_id);
create index on instagram_story_insights_aggregated (media_id);
create index on instagram_story_insights_aggregated (timestamp desc);
