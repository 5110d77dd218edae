with

source as (

    select * from {{ source('raw', 'app_events') }}

),

renamed as (

    select
        ---------- ids
        tenant_id,
        {{ tenant_key('event_id') }} as event_key,
        event_id,
        listener_id,
        session_id,

        ---------- text
        page,
        properties,

        ---------- timestamps
        occurred_at

    from source

)

select * from renamed
