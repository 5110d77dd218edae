with

tracks as (

    select * from {{ ref('stg_catalog__tracks') }}

),

plays as (

    select * from {{ ref('fct_plays') }}

),

tracks_played as (

    select
        ---------- ids
        tenant_id,
        track_id

    from plays

    group by tenant_id, track_id

),

tracks_known as (

    select
        ---------- ids
        coalesce(tracks.tenant_id, tracks_played.tenant_id) as tenant_id,
        coalesce(
            tracks.track_key,
            tracks_played.tenant_id || ':' || tracks_played.track_id
        ) as track_key,
        coalesce(tracks.track_id, tracks_played.track_id) as track_id,
        tracks.artist_id,

        ---------- text
        tracks.title,
        tracks.artist_name,
        tracks.album,
        tracks.genre,

        ---------- numerics
        tracks.duration_ms,

        ---------- booleans
        tracks.track_id is not null as is_in_catalog,

        ---------- dates
        tracks.release_date,

        ---------- timestamps
        tracks.updated_at

    from tracks

    full outer join tracks_played
        on tracks.tenant_id = tracks_played.tenant_id
        and tracks.track_id = tracks_played.track_id

)

select * from tracks_known
