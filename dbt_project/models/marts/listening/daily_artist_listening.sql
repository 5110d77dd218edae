{{ config(indexes=[{'columns': ['tenant_id', 'listening_date']}]) }}

with

plays as (

    select * from {{ ref('fct_plays') }}

),

tracks as (

    select * from {{ ref('dim_tracks') }}

),

plays_by_listener as (

    select
        ---------- ids
        plays.tenant_id,
        coalesce(tracks.artist_id, 'unknown') as artist_id,
        plays.listener_id,

        ---------- dates
        plays.listening_date,

        ---------- numerics
        count(*) as plays,
        count(*) filter (where plays.is_counted_stream) as counted_streams,
        count(*) filter (where plays.is_skipped) as skips,
        sum(plays.listened_ms) as listened_ms

    from plays

    left join tracks
        on plays.tenant_id = tracks.tenant_id
        and plays.track_id = tracks.track_id

    group by 1, 2, 3, 4

),

plays_by_day as (

    select
        ---------- ids
        tenant_id,
        artist_id,

        ---------- dates
        listening_date,

        ---------- numerics
        cast(sum(plays) as bigint) as plays,
        cast(sum(counted_streams) as bigint) as counted_streams,
        cast(sum(skips) as bigint) as skips,
        count(*) as listeners,
        cast(
            div(coalesce(sum(listened_ms), 0), 1000) as bigint
        ) as listened_seconds

    from plays_by_listener

    group by 1, 2, 3

)

select * from plays_by_day
