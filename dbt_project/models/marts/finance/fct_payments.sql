with

payments as (

    select * from {{ ref('stg_billing__payments') }}

),

payments_signed as (

    select
        ---------- ids
        tenant_id,
        payment_key,
        payment_id,
        listener_id,

        ---------- text
        kind,
        plan,
        currency,

        ---------- numerics
        amount_minor,
        case kind
            when 'charge' then amount_minor
            when 'refund' then -amount_minor
        end as signed_amount_minor,

        ---------- dates
        cast(
            date_trunc('month', paid_at at time zone 'UTC') as date
        ) as month_date,

        ---------- timestamps
        paid_at

    from payments

)

select * from payments_signed
