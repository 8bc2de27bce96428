"""The gRPC face of the service: conversion, authentication, statuses, and what is recorded of each call."""
