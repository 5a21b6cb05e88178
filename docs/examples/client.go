// A bank's client in Go. Generate from proto/ with protoc-gen-go and protoc-gen-go-grpc into the packages imported here.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	catalogue "example.invalid/bank/xinyidai/catalogue/v1"
	gateway "example.invalid/bank/xinyidai/gateway/v1"
)

func main() {
	connection, err := grpc.NewClient("127.0.0.1:50051", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := gateway.NewCreditServiceClient(connection).GetCreditView(ctx, &gateway.GetCreditViewRequest{
		Query: &gateway.CreditQuery{Uscc: "91310115MA0TERT167", Purpose: catalogue.Purpose_PURPOSE_PRE_LOAN},
	})
	if err != nil {
		log.Fatal(err) // status.FromError gives the google.rpc details
	}
	for _, answer := range response.View.Answers {
		fmt.Println(answer.Platform, answer.Outcome)
	}
}
