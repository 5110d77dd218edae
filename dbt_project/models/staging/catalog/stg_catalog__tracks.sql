with

source as (

    select * from {{ source('raw', 'tracks') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('track_id') }} as track_key,
        track_id,
        artist_id,

        ---------- text
        title,
        artist_name,
        album,
        genre,

        ---------- numerics
        duration_ms,

        ---------- dates
        released_on as release_date,

        ---------- timestamps
        updated_at

    from source

)

select * from renamed
