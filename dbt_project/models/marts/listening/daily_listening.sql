{{ config(
    materialized='incremental',
    incremental_strategy='replace_window',
    indexes=[{'columns': ['tenant_id', 'listening_date']}],
) }}

with

plays as (

    select * from {{ ref('fct_plays') }}
    {% if is_windowed() %}
        where {{ in_window('started_at') }}
    {% endif %}

),

-- By listener first: hashing twice is cheaper than sorting for a distinct.
plays_by_listener as (

    select
        ---------- ids
        tenant_id,
        listener_id,

        ---------- dates
        listening_date,

        ---------- numerics
        count(*) as plays,
        count(*) filter (where is_counted_stream) as counted_streams,
        count(*) filter (where is_skipped) as skips,
        sum(listened_ms) as listened_ms

    from plays

    group by tenant_id, listener_id, listening_date

),

plays_by_day as (

    select
        ---------- ids
        tenant_id,

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

    group by tenant_id, listening_date

)

select * from plays_by_day
