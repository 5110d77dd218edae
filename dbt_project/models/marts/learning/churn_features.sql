{{ config(indexes=[{'columns': ['tenant_id', 'as_of_date']}]) }}

with

features as (

    select * from {{ ref('stg_learning__churn_features') }}

)

-- The staging model lists the columns, and the contract holds them to it.
select * from features  -- noqa: AM04
