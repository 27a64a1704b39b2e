# Seven resources of AWS, none of which asks an account for anything while it is planned.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

resource "aws_vpc" "peer" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_subnet" "a" {
  vpc_id     = aws_vpc.peer.id
  cidr_block = "10.0.0.0/24"
}

resource "aws_subnet" "b" {
  vpc_id     = aws_vpc.peer.id
  cidr_block = "10.0.1.0/24"
}

resource "aws_internet_gateway" "peer" {
  vpc_id = aws_vpc.peer.id
}

resource "aws_route_table" "peer" {
  vpc_id = aws_vpc.peer.id
}

resource "aws_sqs_queue" "interruption" {
  name = "interruption"
}

resource "aws_kms_key" "data" {
  enable_key_rotation = true
}
