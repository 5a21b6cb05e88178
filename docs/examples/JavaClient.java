// A bank's client in Java. Generate from proto/ with protoc-gen-grpc-java (message packages follow the proto packages).
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.util.concurrent.TimeUnit;
import xinyidai.catalogue.v1.View.Purpose;
import xinyidai.gateway.v1.CreditServiceGrpc;
import xinyidai.gateway.v1.CreditServiceOuterClass.CreditQuery;
import xinyidai.gateway.v1.CreditServiceOuterClass.GetCreditViewRequest;
import xinyidai.gateway.v1.CreditServiceOuterClass.GetCreditViewResponse;

public final class JavaClient {
  public static void main(String[] args) {
    ManagedChannel channel = ManagedChannelBuilder.forTarget("127.0.0.1:50051").usePlaintext().build();
    CreditQuery query = CreditQuery.newBuilder()
        .setUscc("91310115MA0TERT167").setPurpose(Purpose.PURPOSE_PRE_LOAN).build();
    GetCreditViewResponse response = CreditServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(5, TimeUnit.SECONDS)
        .getCreditView(GetCreditViewRequest.newBuilder().setQuery(query).build());
    response.getView().getAnswersList().forEach(a -> System.out.println(a.getPlatform() + " " + a.getOutcome()));
    channel.shutdown();
  }
}
