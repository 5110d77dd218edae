with

source as (

    select * from {{ source('raw', 'plays') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('play_id') }} as play_key,
        play_id,
        listener_id,
        track_id,

        ---------- text
        source_of_play,
        platform,
        country,
        reason_end,

        ---------- numerics
        listened_ms,
        track_ms,

        ---------- booleans
        coalesce(is_skipped, false) as is_skipped,
        coalesce(is_shuffle, false) as is_shuffle,
        coalesce(is_offline, false) as is_offline,

        ---------- dates
        cast(started_at at time zone 'UTC' as date) as listening_date,

        ---------- timestamps
        started_at,
        started_at
        + coalesce(listened_ms, 0) * interval '1 millisecond' as ended_at

    from source

)

select * from renamed
