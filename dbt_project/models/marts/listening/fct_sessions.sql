{{ config(
    materialized='incremental',
    incremental_strategy='replace_sessions',
    indexes=[
        {'columns': ['tenant_id', 'listener_id', 'started_at']},
        {'columns': ['ended_at']},
    ],
) }}

with

plays as (

    select * from {{ ref('int_plays_sessionized') }}

),

sessions as (

    select
        ---------- ids
        tenant_id,
        listener_id,

        ---------- numerics
        count(*) as plays,
        count(distinct track_id) as tracks,
        count(*) filter (where is_skipped) as skips,
        cast(
            div(coalesce(sum(listened_ms), 0), 1000) as bigint
        ) as listened_seconds,

        ---------- timestamps
        min(started_at) as started_at,
        max(ended_at) as ended_at

    from plays

    group by tenant_id, listener_id, session_number

),

sessions_keyed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('listener_id') }} || ':' || to_char(
            started_at at time zone 'UTC', 'YYYYMMDD"T"HH24MISS.US'
        ) as session_key,
        listener_id,

        ---------- numerics
        plays,
        tracks,
        skips,
        listened_seconds,
        cast(
            floor(extract(epoch from ended_at - started_at)) as bigint
        ) as duration_seconds,

        ---------- dates
        cast(started_at at time zone 'UTC' as date) as session_date,

        ---------- timestamps
        started_at,
        ended_at

    from sessions

)

select * from sessions_keyed
